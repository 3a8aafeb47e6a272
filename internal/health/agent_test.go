package health_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lvs-agents/internal/check"
	"lvs-agents/internal/control"
	"lvs-agents/internal/health"
	"lvs-agents/internal/state"
)

// speaker is an agent on a TCP port of 127.0.0.1, which can say another line for each step of a
// test.
type speaker struct {
	net.Listener
	mu     sync.Mutex
	answer string
	silent bool   // silent says that the agent accepts connections and answers none.
	reads  int    // reads counts the connections.
	got    string // got is what the last client sent.
}

func newSpeaker(t *testing.T, answer string) *speaker {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &speaker{Listener: l, answer: answer}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go s.serve(c)
		}
	}()
	return s
}

func (s *speaker) serve(c net.Conn) {
	defer func() { _ = c.Close() }()
	s.mu.Lock()
	s.reads++
	answer, silent := s.answer, s.silent
	s.mu.Unlock()
	text := make([]byte, 64)
	n, _ := c.Read(text)
	s.mu.Lock()
	s.got = string(text[:n])
	s.mu.Unlock()
	if silent {
		_, _ = c.Read(text) // The client ends the connection.
		return
	}
	_, _ = c.Write([]byte(answer))
}

// say changes the answer, and waits until two more clients have connected, so that the daemon has
// the answer of the first one.
func (s *speaker) say(t *testing.T, answer string, silent bool) {
	t.Helper()
	s.mu.Lock()
	s.answer, s.silent = answer, silent
	before := s.reads
	s.mu.Unlock()
	eventually(t, "the daemon does not read its agent", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.reads > before+2
	})
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for !is() {
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			t.Fatal(what)
		}
	}
}

// agents returns the function that makes the checks of a daemon: real checks of agents and of HTTP,
// and others that are good unless the world says otherwise.
func (w *world) agents() func(health.Probe) (check.Checker, error) {
	real := health.Checkers(health.Tools{Source: check.NewSources()})
	return func(p health.Probe) (check.Checker, error) {
		if p.Application == "agent-check" || p.Application == "http" {
			return real(p)
		}
		return checkFunc(func(context.Context) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			if w.down[p.Addr.Addr().String()] {
				return errors.New("refused")
			}
			return nil
		}), nil
	}
}

// speaking runs a daemon until the test ends, with real checks of agents and of HTTP. It returns a
// function that returns the state of the real server, and its line of the kernel's table.
func (w *world) speaking(t *testing.T) func() (control.Real, string) {
	t.Helper()
	d := health.New(health.Options{
		ID: "web", Kernel: w.kernel, Store: w.store, Log: w.log, Config: "web.cf", Occurred: w.occurred, Checker: w.agents(),
		SaveVerdicts: func(v state.Verdicts) { w.set(func() { w.saved = v }) },
		Load:         func(ctx context.Context) (health.Setup, error) { return setup(ctx, w.text) },
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended, ready := make(chan error, 1), make(chan struct{})
	go func() { ended <- d.Run(ctx, func() { close(ready) }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	<-ready
	return func() (control.Real, string) {
		snapshot, err := d.Snapshot(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return snapshot.Services[0].Reals[0], strings.TrimSpace(w.destination())
	}
}

// TestAServerReportsItsOwnState reads a real agent, and compares the table, the reason and the
// events after each of its lines.
func TestAServerReportsItsOwnState(t *testing.T) {
	s := newSpeaker(t, "drain # starting\n")
	w := newWorld(t, fmt.Sprintf(`checkinterval=1
virtual=192.0.2.10:80
	real=192.0.2.21:80 gate 10
	quiescent=yes
	checktype=connect
	agent_port=%d
	agent_addr=127.0.0.1
	agent_inter=50ms
	agent_send="web\n"
`, netip.MustParseAddrPort(s.Addr().String()).Port()))
	read := w.speaking(t)
	const passes = "its checks pass"
	for i, step := range []struct {
		line   string
		silent bool
		weight int
		policy string
		limits string // limits are the words of the thresholds in the kernel.
		kind   health.Kind
	}{
		{"drain # starting\n", false, 0, "the server says drain: starting", "", health.ServerDrained},
		{"ready\n", false, 10, passes, "", health.ServerUp},
		{"75%\n", false, 8, passes + "; the server wants 75 % of its weight", "", health.ServerAdjusted},
		{"hello\n", false, 8, passes + "; the server wants 75 % of its weight", "", ""},
		{"down", false, 8, passes + "; the server wants 75 % of its weight", "", ""},
		{"", false, 8, passes + "; the server wants 75 % of its weight", "", ""},
		{"", true, 8, passes + "; the server wants 75 % of its weight", "", ""},
		{"100%,maxconn:30\r\n", false, 10, passes, "-x 30 -y 0", health.ServerAdjusted},
		{strings.Repeat("drain ", 1000) + "\n", false, 10, passes, "-x 30 -y 0", ""},
		{"0% maxconn:0\n", false, 0, "the server says drain", "", health.ServerDrained},
		{"100%\n", false, 10, passes, "", health.ServerUp},
		{"maint\n", false, 0, "the server says maint", "", health.ServerDrained},
		{"ready fail#disk \x1b[2Jfull\n", false, 0, "the server says that it is down: disk  [2Jfull", "", ""},
		{"100%\n", false, 0, "the server says that it is down: disk  [2Jfull", "", ""},
		{"up\n", false, 10, passes, "", health.ServerUp},
		{"stopped\n", false, 0, "the server says that it is down", "", health.ServerDown},
		{"up\n", false, 10, passes, "", health.ServerUp},
	} {
		if i > 0 {
			w.set(func() { w.events = nil })
		}
		s.say(t, step.line, step.silent)
		var got control.Real
		var kernel string
		eventually(t, fmt.Sprintf("step %d, %.20q: weight and limit", i, step.line), func() bool {
			got, kernel = read()
			words, present := strings.CutPrefix(kernel, fmt.Sprintf("-a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w %d", step.weight))
			return present && strings.TrimSpace(words) == step.limits
		})
		if got.Policy != step.policy || got.Weight != step.weight || got.Verdict != "good" {
			t.Errorf("step %d, %.20q: got %+v, want weight %d and %q", i, step.line, got, step.weight, step.policy)
		}
		var kinds []health.Kind
		eventually(t, fmt.Sprintf("step %d, %.20q: no event %s", i, step.line, step.kind), func() bool {
			w.mu.Lock()
			defer w.mu.Unlock()
			kinds = nil
			for _, e := range w.events {
				if e.Server.IsValid() && e.Kind != health.CheckPassed {
					kinds = append(kinds, e.Kind)
				}
			}
			return step.kind == "" || len(kinds) > 0
		})
		if step.kind == "" && len(kinds) > 0 || step.kind != "" && (len(kinds) != 1 || kinds[0] != step.kind) {
			t.Errorf("step %d, %.20q: events %v, want %s", i, step.line, kinds, step.kind)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.got != "web\n" {
		t.Errorf("the agent got %q", s.got)
	}
	if log := w.logged(); !strings.Contains(log, "closed in the middle of the answer; the state that the server has reported before stays") || bytes.ContainsRune([]byte(log), 0x1b) {
		t.Errorf("log:\n%s", log)
	}
}

// destination returns the line of the real server in the kernel's table.
func (w *world) destination() string {
	for line := range strings.Lines(w.kernel.String()) {
		if strings.HasPrefix(line, "-a ") {
			return line
		}
	}
	return ""
}

// TestAServerDrainsItselfWithAnHTTPStatus checks that a status of disable_on keeps the verdict
// good. The real server gets no new connections until it replies with a good status again.
func TestAServerDrainsItselfWithAnHTTPStatus(t *testing.T) {
	var status atomic.Int32
	status.Store(200)
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(int(status.Load())) }))
	defer page.Close()
	w := newWorld(t, fmt.Sprintf(`checkinterval=50ms
negotiatetimeout=10
virtual=192.0.2.10:80
	real=%s masq 10
	quiescent=yes
	service=http
	disable_on=404,503
`, page.Listener.Addr()))
	read := w.speaking(t)
	for _, step := range []struct {
		status  int32
		weight  int
		verdict string
		policy  string
		bad     int // bad is the number of servers that the next start of an ipvs resource leaves out.
	}{
		{200, 10, "good", "its checks pass", 0},
		{404, 0, "good", "the server says drain: status 404 Not Found", 1},
		{200, 10, "good", "its checks pass", 0},
		{503, 0, "good", "the server says drain: status 503 Service Unavailable", 1},
		{500, 0, "bad", "its checks fail", 1},
		{404, 0, "good", "the server says drain: status 404 Not Found", 1},
		{200, 10, "good", "its checks pass", 0},
	} {
		status.Store(step.status)
		eventually(t, fmt.Sprintf("status %d", step.status), func() bool {
			got, line := read()
			bad := 0
			w.set(func() { bad = len(w.saved.Bad) })
			return got.Policy == step.policy && got.Verdict == step.verdict && strings.HasSuffix(line, fmt.Sprintf(" -w %d", step.weight)) && bad == step.bad
		})
	}
}

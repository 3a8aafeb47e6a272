package control

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"lvs-agents/internal/state"
)

type fake struct {
	snapshot Snapshot
	err      error
	resyncs  chan struct{}
	stuck    bool
}

func (f fake) Snapshot(ctx context.Context) (Snapshot, error) {
	if f.stuck {
		<-ctx.Done()
	}
	return f.snapshot, f.err
}

func (f fake) Resync(context.Context) error {
	f.resyncs <- struct{}{}
	return f.err
}

func (f fake) Explain(_ context.Context, filter Filter) (Explanation, error) {
	return Explanation{ID: filter.Service + " " + filter.Server}, f.err
}

func (f fake) Reload(context.Context) error { return f.err }

func (f fake) Order(context.Context, Command) error { return f.err }

// stateDir returns a new state directory with a short path, because the path of a unix socket has
// at most 107 bytes.
func stateDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "lvs")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func serving(t *testing.T, dir, id string, d Daemon) {
	t.Helper()
	listener, err := Listen(dir, id)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- Serve(ctx, listener, d, new(Feed)) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestConversation(t *testing.T) {
	dir := stateDir(t)
	f := fake{snapshot: Snapshot{ID: "web", PID: 7, Services: []Service{{ID: "-t 192.0.2.10:80", Reals: []Real{{Verdict: "unknown"}, {Verdict: "good"}}}}}, resyncs: make(chan struct{}, 1)}
	serving(t, dir, "web", f)
	got, err := Status(t.Context(), dir, "web")
	if err != nil || got.PID != 7 || got.Unknown() != 1 || got.Services[0].ID != "-t 192.0.2.10:80" {
		t.Errorf("%+v, %v", got, err)
	}
	if err := Resync(t.Context(), dir, "web"); err != nil || len(f.resyncs) != 1 {
		t.Errorf("resync: %v", err)
	}
	if ids, err := IDs(dir); err != nil || len(ids) != 1 || ids[0] != "web" {
		t.Errorf("%v, %v", ids, err)
	}
}

// TestSummary checks that a summary has counts in place of real servers. A client counts the same
// in the reply of a daemon from before the summary.
func TestSummary(t *testing.T) {
	dir := stateDir(t)
	full := Snapshot{PID: 7, Services: []Service{{
		ID: "-t 192.0.2.10:80", Trouble: "no table", Fallback: &Real{Weight: 1},
		Reals: []Real{{Verdict: "unknown", Weight: -1, Configured: 2}, {Verdict: "good", Weight: 3, Configured: 3}, {Verdict: "bad", Configured: 5}},
	}, {ID: "-f 7"}}}
	serving(t, dir, "web", fake{snapshot: full})
	s, err := Summary(t.Context(), dir, "web")
	if err != nil || s.PID != 7 || len(s.Services) != 2 {
		t.Fatalf("%+v, %v", s, err)
	}
	want := Counts{Good: 1, Bad: 1, Unknown: 1, Serving: 1, Weight: 3, Configured: 10}
	if got := s.Services[0]; got.Counts == nil || *got.Counts != want || len(got.Reals) > 0 || got.Trouble != "no table" || got.Fallback.Weight != 1 {
		t.Errorf("%+v, counts %+v", got, got.Counts)
	}
	if got := full.Services[0]; got.Counts != nil || len(got.Reals) != 3 || got.Count() != want {
		t.Errorf("the daemon's snapshot has changed: %+v", got)
	}
	if got := s.Services[1].Count(); got != (Counts{}) {
		t.Errorf("without real servers: %+v", got)
	}
}

func TestErrorsOfADaemon(t *testing.T) {
	dir := stateDir(t)
	serving(t, dir, "bad", fake{err: errors.New("no table"), resyncs: make(chan struct{}, 1)})
	if err := Resync(t.Context(), dir, "bad"); err == nil || err.Error() != "directord bad: no table" {
		t.Errorf("got %v", err)
	}
	serving(t, dir, "stuck", fake{stuck: true})
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := Status(ctx, dir, "stuck"); err == nil || !strings.HasPrefix(err.Error(), "directord stuck does not reply: ") {
		t.Errorf("got %v", err)
	}
	if _, err := Status(t.Context(), dir, "none"); err == nil || !strings.Contains(err.Error(), "querying directord none: ") {
		t.Errorf("got %v", err)
	}
}

// TestAnswerWithoutEnd checks that a client refuses an endless reply, which comes from a process
// that is not directord.
func TestAnswerWithoutEnd(t *testing.T) {
	dir := stateDir(t)
	listener, err := Listen(dir, "web")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		conn, err := listener.Accept()
		for chunk := make([]byte, 1<<20); err == nil; {
			_, err = conn.Write(chunk)
		}
	}()
	const want = "directord web sends a reply of more than 64 MiB; end the process that listens on "
	if _, err := Status(t.Context(), dir, "web"); err == nil || err.Error() != want+Path(dir, "web")+", it is not directord" {
		t.Errorf("got %v", err)
	}
	<-ended
	if err := listener.Close(); err != nil {
		t.Error(err)
	}
}

func TestSocketsThatCannotBeSpokenTo(t *testing.T) {
	for cause, want := range map[error]string{
		syscall.EACCES:       "permission denied; do it as root, or let a group read the status (docs/monitoring.md)",
		syscall.ECONNREFUSED: "the daemon has died and left its socket (connection refused); start it again, or remove /run/web.sock",
		syscall.ENOENT:       "the daemon does not run: no such file or directory",
		syscall.EMFILE:       "too many open files",
	} {
		if got := explained(cause, "/run/web.sock"); got.Error() != want || !errors.Is(got, cause) {
			t.Errorf("got  %v\nwant %s", got, want)
		}
	}
}

func TestAlive(t *testing.T) {
	for _, tt := range []struct {
		loop, wheel float64
		want        string
	}{
		{12, 1, "directord 7 could not write the wanted IPVS table for 12.0 s, more than 10 s: IPVS is gone"},
		{1, 12, "directord 7 hangs: it has not updated the IPVS table or run checks for 12.0 s (limit 10 s): IPVS is gone"},
		{9, 9, ""},
	} {
		err := Snapshot{PID: 7, LoopAge: tt.loop, WheelAge: tt.wheel, Limit: 10, Trouble: "IPVS is gone"}.Alive()
		if got := fmt.Sprint(err); err == nil != (tt.want == "") || err != nil && got != tt.want {
			t.Errorf("got  %s\nwant %s", got, tt.want)
		}
	}
}

func TestNamesFitIntoASocket(t *testing.T) {
	long := strings.Repeat("a", 300)
	for _, id := range []string{"web", "web:0", "a/b", long, long + "b", strings.Repeat("ä", 100)} {
		name := state.SocketName(id)
		if path := Path("/run/resource-agents/lvs-agents", id); len(path) > 107 {
			t.Errorf("%s has %d characters", path, len(path))
		}
		if again := state.SocketName(name); again != name {
			t.Errorf("got %s, want %s", again, name)
		}
	}
	if state.SocketName(long) == state.SocketName(long+"b") {
		t.Error("two ids have one name")
	}
	dir := stateDir(t)
	serving(t, dir, long, fake{snapshot: Snapshot{PID: 7}})
	if got, err := Status(t.Context(), dir, long); err != nil || got.PID != 7 {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestFailedAcceptEndsNothing checks that Serve continues while every Accept fails, as it does when
// the process has no file descriptors left.
func TestFailedAcceptEndsNothing(t *testing.T) {
	listener, err := Listen(stateDir(t), "web")
	if err != nil {
		t.Fatal(err)
	}
	if err := listener.SetDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*again/2)
	defer cancel()
	if err := Serve(ctx, listener, fake{}, new(Feed)); err != nil || ctx.Err() == nil {
		t.Errorf("it ended: %v", err)
	}
}

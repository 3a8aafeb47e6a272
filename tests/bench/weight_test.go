package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"text/tabwriter"
	"time"

	"lvs-agents/tests/lab"
)

// checkInterval and checkTimeout are the values of checkinterval and checktimeout in weightConfig.
const (
	checkInterval = time.Second
	checkTimeout  = 2 * time.Second
)

const weightConfig = `checktimeout=2
checkinterval=1
quiescent=yes
supervised=yes
logfile="/run/weight.log"
virtual=192.0.2.10:80
	real=192.0.2.21:80 gate
	real=192.0.2.22:80 gate
	service=http
	request=".health.html"
	receive="OK"
	scheduler=rr
	protocol=tcp
	checktype=negotiate
`

const (
	weightBoth = "-A -t 192.0.2.10:80 -s rr\n-a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 1\n-a -t 192.0.2.10:80 -r 192.0.2.22:80 -g -w 1\n"
	weightOne  = "-A -t 192.0.2.10:80 -s rr\n-a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 0\n-a -t 192.0.2.10:80 -r 192.0.2.22:80 -g -w 1\n"
)

// webServer is a real server of TestTimeToWeightZero. The test can close its port or remove its
// page.
type webServer struct {
	host     *lab.Host
	listener net.Listener
	gone     atomic.Bool
}

func (w *webServer) open(t *testing.T) {
	t.Helper()
	w.listener = w.host.Listen(t, "tcp4", "0.0.0.0:80")
	go func(l net.Listener) {
		for {
			conn, err := l.Accept()
			if err != nil {
				return // closed
			}
			go w.answer(conn)
		}
	}(w.listener)
}

func (w *webServer) answer(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	lines := bufio.NewScanner(conn)
	for lines.Scan() && lines.Text() != "" {
	}
	status := "200 OK"
	if w.gone.Load() {
		status = "404 Not Found"
	}
	_, _ = fmt.Fprintf(conn, "HTTP/1.0 %s\r\nContent-Length: 3\r\n\r\nOK\n", status) // a write error is normal: the checker can have closed the connection
}

// TestTimeToWeightZero makes a real server fail in three ways, at ten points of time within the
// check interval, with directord and with ldirectord. It checks how long directord takes to set the
// weight of that server to 0 in the kernel's table.
func TestTimeToWeightZero(t *testing.T) {
	lab.Require(t, "ipvsadm")
	topology := lab.NewTopology(t)
	server := &webServer{host: topology.Host("rs1")}
	server.open(t)
	(&webServer{host: topology.Host("rs2")}).open(t)
	bin, err := filepath.Abs("../../bin")
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(t.TempDir(), "weight.cf")
	if err := os.WriteFile(config, []byte(weightConfig), 0o600); err != nil {
		t.Fatal(err)
	}
	manners := []struct {
		name   string
		phases int
		more   time.Duration // more is the time that a check needs to detect this failure, in addition to the wait for the next check
		stop   func()
		start  func()
	}{
		{"page gone", 10, 0, func() { server.gone.Store(true) }, func() { server.gone.Store(false) }},
		{"port closed", 10, 0, func() { _ = server.listener.Close() }, func() { server.open(t) }},
		{"silent", 10, checkTimeout, func() { server.host.Cut(t) }, func() { server.host.Heal(t) }},
	}
	programs := []string{bin + "/directord", lab.PerlProgram(t)}
	took := map[string][2][]time.Duration{}
	for p, program := range programs {
		director := topology.Host([]string{"director1", "director2"}[p])
		action := map[bool][]string{true: {"--debug", config, "start"}, false: {config, "start"}}[p == 0]
		daemon := director.Start(t, program, action...)
		director.WaitTable(t, 30*time.Second, weightBoth)
		for _, m := range manners {
			each := took[m.name]
			each[p] = phases(t, director, m.phases, m.stop, m.start)
			took[m.name] = each
		}
		daemon.Kill()
	}
	fmt.Printf("time until a server that stops has weight 0, checkinterval %v, checktimeout %v\n\n", checkInterval, checkTimeout)
	w := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "server\tprogram\tmedian\tlongest\tmedian, times less\tverdict")
	for _, m := range manners {
		ours, theirs := took[m.name][0], took[m.name][1]
		verdict := "holds"
		if slices.Max(ours) > checkInterval+m.more+150*time.Millisecond || middle(ours) > checkInterval/2+m.more+100*time.Millisecond || middle(ours) >= middle(theirs) {
			verdict = "does not hold"
			t.Errorf("%s: too long: %v", m.name, ours)
		}
		fmt.Fprintf(w, "%s\tdirectord\t%v\t%v\t%.2f\t%s\n", m.name, ms(middle(ours)), ms(slices.Max(ours)), float64(middle(theirs))/float64(middle(ours)), verdict)
		fmt.Fprintf(w, "%s\tldirectord\t%v\t%v\t\t\n", m.name, ms(middle(theirs)), ms(slices.Max(theirs)))
	}
	fmt.Fprintln(w)
	_ = w.Flush() // to a terminal
}

// phases stops and starts the real server count times, each time at another point of time within
// the check interval. It returns how long each stop took to become weight 0.
func phases(t *testing.T, director *lab.Host, count int, stop, start func()) []time.Duration {
	t.Helper()
	var took []time.Duration
	began := time.Now()
	for k := range count {
		phase := time.Duration(k) * checkInterval / time.Duration(count)
		<-time.After((phase - time.Since(began)%checkInterval + checkInterval) % checkInterval)
		stopped := time.Now()
		stop()
		director.WaitTable(t, time.Minute, weightOne)
		took = append(took, time.Since(stopped))
		start()
		director.WaitTable(t, time.Minute, weightBoth)
	}
	return took
}

// middle returns the median. For an even number of values it is the mean of the two middle values.
func middle(values []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

func ms(d time.Duration) time.Duration { return d.Round(time.Millisecond) }

func TestMiddle(t *testing.T) {
	for text, want := range map[string]time.Duration{"3s": 3 * time.Second, "1s 2s": 1500 * time.Millisecond, "9s 1s 5s": 5 * time.Second, "4s 1s 2s 9s": 3 * time.Second} {
		var values []time.Duration
		for _, word := range strings.Fields(text) {
			d, err := time.ParseDuration(word)
			if err != nil {
				t.Fatal(err)
			}
			values = append(values, d)
		}
		if got := middle(values); got != want {
			t.Errorf("%s: got %v, want %v", text, got, want)
		}
	}
}

package health

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"lvs-agents/internal/control"
	"lvs-agents/tests/lab"
)

// TestHintOfConnections lets rs1 drop the packets of its clients. Its next check would be minutes
// later, so only a hint can find the fault in time.
func TestHintOfConnections(t *testing.T) {
	d := newDirector(t, "yes")
	d.Script(t, "ip addr add 192.0.2.10/32 dev eth0")
	d.write(t, fmt.Sprintf("checktimeout=2\ncheckinterval=600\nobserve=connections\nquiescent=yes\nlogfile=%q\nvirtual=192.0.2.10:80\n"+
		"\tscheduler=rr\n\tservice=http\n\trequest=%q\n\treceive=OK\n\treal=192.0.2.21:80 gate\n\treal=192.0.2.22:80 gate\n", d.log, lab.HealthPage))
	d.directord(t, 0, "start")
	const second = "-a -t 192.0.2.10:80 -r 192.0.2.22:80 -g -w 1\n"
	table := func(weight int) string {
		return fmt.Sprintf("%s-a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w %d\n%s", service, weight, second)
	}
	d.WaitTable(t, 10*time.Second, table(1))
	d.topology.Host("rs1").Script(t, "iptables-legacy -w -A INPUT -p tcp --dport 80 -j DROP")
	ctx, end := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	defer clients.Wait()
	defer end()
	for range 4 {
		clients.Go(func() { d.connect(ctx) })
	}
	took := d.WaitTable(t, 15*time.Second, table(0))
	t.Logf("weight 0 after %v", took)
	e, err := control.Explain(t.Context(), d.stateDir(), "web", control.Filter{Service: "192.0.2.10:80", Server: "192.0.2.21:80"})
	if err != nil {
		t.Fatal(err)
	}
	last := e.Services[0].Reals[0].Checks[0].Last[0]
	if !last.Hint || last.Reason == "" {
		t.Errorf("the last check: %+v", last)
	}
	if out := d.ctl(t, 0, "explain", "192.0.2.10:80", "192.0.2.21"); !strings.Contains(out, "early because of its connections") {
		t.Error(out)
	}
}

// connect opens and closes connections to the VIP until ctx ends.
func (d director) connect(ctx context.Context) {
	for ctx.Err() == nil {
		limited, cancel := context.WithTimeout(ctx, time.Second/2)
		conn, err := d.topology.Host("client").Dial(limited, "tcp", vip80)
		cancel()
		if err == nil {
			_ = conn.Close() // only the packets count
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second / 10):
		}
	}
}

const vip80 = lab.VIP + ":80"

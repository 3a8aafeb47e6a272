package health

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"lvs-agents/internal/control"
	"lvs-agents/internal/kernel/ipvs"
	"lvs-agents/internal/lvs"
	"lvs-agents/tests/lab"
)

// watchEvents collects the events of the daemon until the returned function is called.
func (d director) watchEvents(t *testing.T) func() []control.Event {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var events []control.Event
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = control.Events(ctx, d.state+"/lvs-agents", "web", control.Watch{Each: func(e control.Event) error { // it ends with cancel
			events = append(events, e)
			return nil
		}})
	}()
	<-time.After(500 * time.Millisecond)
	return func() []control.Event {
		cancel()
		<-ended
		return events
	}
}

// noFlap fails the test if a verdict changed, or if a server other than stranger left the table.
func noFlap(t *testing.T, events []control.Event, stranger string) {
	t.Helper()
	repairs := 0
	for _, e := range events {
		switch {
		case e.Kind == "table_repaired" && strings.HasPrefix(e.Server, stranger) && stranger != "":
		case e.Kind == "table_repaired" && e.To != nil && *e.To >= 0, e.Kind == "table_repaired" && e.Server == "" && strings.Contains(e.Op, " -A "):
			repairs++
		case e.Kind == "address_here", e.Kind == "address_gone":
		default:
			t.Errorf("event %s %s %s: %s", e.Kind, e.Service, e.Server, e.Op)
		}
	}
	t.Logf("%d events, %d of them add what was missing", len(events), repairs)
}

// TestDaemonSurvivesReload unloads ip_vs and loads it again while a daemon runs. The table must be
// right again, and no verdict may change.
func TestDaemonSurvivesReload(t *testing.T) {
	d := newDirector(t, "yes")
	d.directord(t, 0, "start")
	d.waitTable(t, 5*time.Second, service+rs1+rs2)
	events := d.watchEvents(t)
	for round := range 3 {
		pid := d.pid()
		lab.Wait(t, time.Minute, "rmmod", func() error {
			// The daemon can add its services again before rmmod.
			code, out := d.run(t, nil, "sh", "-c", "ipvsadm -C && for m in $(lsmod | grep -o '^ip_vs_[a-z_]*'); do rmmod $m; done; rmmod ip_vs")
			if code != 0 {
				return errors.New(out)
			}
			return nil
		})
		d.Script(t, "modprobe ip_vs")
		t.Logf("round %d: %v", round, d.waitTable(t, 5*time.Second, service+rs1+rs2))
		if d.pid() != pid {
			t.Errorf("another daemon runs: %d, %d", pid, d.pid())
		}
	}
	noFlap(t, events(), "")
}

// TestTornDump changes the services of a daemon all the time, so that dumps of the table miss
// entries or have them twice. No server of the configuration may leave the table.
func TestTornDump(t *testing.T) {
	const stranger = "198.51.100.99"
	d := newBareDirector(t, "yes")
	text := fmt.Sprintf("checkinterval=1\nlogfile=%q\n", d.log)
	want := ""
	for i, scheduler := range []string{"rr", "mh"} {
		text += fmt.Sprintf("virtual=192.0.2.10:%d\n\tscheduler=%s\n\tchecktype=on\n", 80+i, scheduler)
		for r := range 120 {
			text += fmt.Sprintf("\treal=198.51.100.%d:%d gate\n", 100+r, 80+i)
			want += fmt.Sprintf("-a -t 192.0.2.10:%d -r 198.51.100.%d:%d -g -w 1\n", 80+i, 100+r, 80+i)
		}
	}
	d.write(t, text)
	d.directord(t, 0, "start")
	destinations := func() (n int) {
		for line := range strings.Lines(d.table(t)) {
			if strings.Contains(want, line) {
				n++
			}
		}
		return n
	}
	full := func() error {
		if n := destinations(); n != 240 {
			return fmt.Errorf("%d destinations of the configuration", n)
		}
		return nil
	}
	lab.Wait(t, 10*time.Second, "the table", full)
	<-time.After(2 * time.Second) // the first rounds put the destinations of mh in order
	events := d.watchEvents(t)
	var stop atomic.Bool
	var changes int
	churned := make(chan error, 1)
	go func() {
		churned <- d.Do(func() error {
			k := ipvs.New()
			defer func() { _ = k.Close() }()
			for !stop.Load() {
				for _, port := range []string{"80", "81"} {
					for _, op := range []string{"-a -t 192.0.2.10:" + port + " -r " + stranger + ":" + port + " -g -w 1", "-d -t 192.0.2.10:" + port + " -r " + stranger + ":" + port} {
						parsed, err := lvs.ParseOp(op)
						if err != nil {
							return err
						}
						// The daemon removes the stranger too.
						if _, err := k.Apply(context.Background(), []lvs.Op{parsed}); err != nil && !errors.Is(err, fs.ErrExist) && !errors.Is(err, fs.ErrNotExist) {
							return err
						}
						changes++
					}
				}
			}
			return nil
		})
	}()
	dumps, torn := 0, 0
	err := d.Do(func() error {
		k := ipvs.New()
		defer func() { _ = k.Close() }()
		for end := time.Now().Add(15 * time.Second); time.Now().Before(end); dumps++ {
			table, err := k.Table(t.Context())
			if err != nil {
				return err
			}
			own := 0
			for line := range strings.Lines(table.String() + "\n") {
				if strings.HasPrefix(line, "-a ") && !strings.Contains(line, stranger) {
					own++
				}
			}
			if own != 240 {
				torn++
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	stop.Store(true)
	if err := <-churned; err != nil {
		t.Fatal(err)
	}
	noFlap(t, events(), stranger)
	lab.Wait(t, 5*time.Second, "the table after the churn", full)
	t.Logf("%d changes by the other program; %d of %d dumps missed a server", changes, torn, dumps)
	if strings.Contains(d.table(t), stranger) {
		t.Errorf("the stranger stays: %s", d.table(t))
	}
}

// TestInterfaceVanishes removes the interface of the VIP and of a synchronisation daemon, and adds
// it again. The table must not change.
func TestInterfaceVanishes(t *testing.T) {
	d := newDirector(t, "yes")
	const up = "ip link add vip0 type dummy && ip addr add 192.0.2.10/32 dev vip0 && ip addr add 198.51.100.1/24 dev vip0 && ip link set vip0 up"
	d.Script(t, up+"; ipvsadm --start-daemon backup --mcast-interface vip0; ipvsadm --start-daemon master --mcast-interface vip0")
	d.directord(t, 0, "start")
	d.waitTable(t, 5*time.Second, service+rs1+rs2)
	events, tables := d.watchEvents(t), d.WatchTable(t)
	d.Script(t, "ip link del vip0")
	<-time.After(5 * time.Second)
	d.Script(t, up)
	<-time.After(3 * time.Second)
	if seen := tables(); len(seen) > 1 {
		t.Errorf("the table changed: %q", seen)
	}
	noFlap(t, events(), "")
	d.waitTable(t, time.Second, service+rs1+rs2)
	d.directord(t, 0, "stop")
	d.Script(t, "ipvsadm --stop-daemon master; ipvsadm --stop-daemon backup")
}

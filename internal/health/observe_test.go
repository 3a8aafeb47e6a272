package health_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lvs-agents/internal/control"
	"lvs-agents/internal/health"
	"lvs-agents/internal/lvs"
)

const observing = `checkinterval=30
observe=connections
quiescent=yes
virtual=192.0.2.10:80
	real=192.0.2.21:80 gate
	real=192.0.2.22:80 gate
	service=http
	scheduler=rr
`

// begin makes each reading of a real server have one more active connection that does not end. The
// connections begin after a delay. One read fails.
func (w *world) begin(t *testing.T, addr string, delay time.Duration) {
	t.Helper()
	op, err := lvs.ParseOp("-a -t 192.0.2.10:80 -r " + addr + " -g -w 1")
	if err != nil {
		t.Fatal(err)
	}
	began, active := time.Now(), uint32(0)
	w.counters = func(context.Context) ([]lvs.Counters, error) {
		if time.Since(began) >= delay {
			active++
		}
		if active == 2 {
			return nil, errors.New("interrupted")
		}
		return []lvs.Counters{{Service: op.Service.ID, Server: op.Destination.Addr, Active: active}}, nil
	}
}

// TestConnectionsGiveHints checks that a server whose connections do not end is checked early, once
// in each interval, and keeps its slots. Without observe, and for the other server, all checks have
// their interval.
func TestConnectionsGiveHints(t *testing.T) {
	for _, observe := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			text := observing
			if !observe {
				text = strings.Replace(text, "observe=connections\n", "", 1)
			}
			w := newWorld(t, text)
			const addr, other = "192.0.2.21:80", "192.0.2.22:80"
			w.begin(t, addr, 0)
			w.run(t, "web", func(d *health.Daemon) {
				<-time.After(5 * time.Minute)
				synctest.Wait()
				early := 0
				for _, gap := range w.gaps(addr, 150*time.Second) {
					if gap < 29*time.Second {
						early++
					}
				}
				if observe && (early < 8 || early > 10) || !observe && early > 0 {
					t.Errorf("observe %v: %d gaps are shorter than the interval", observe, early)
				}
				for _, gap := range w.gaps(other, 90*time.Second) {
					if gap != 30*time.Second {
						t.Errorf("observe %v: the other server has %s between checks", observe, gap)
					}
				}
				e, err := d.Explain(t.Context(), control.Filter{Server: addr})
				if err != nil {
					t.Fatal(err)
				}
				hints := 0
				for _, c := range e.Services[0].Reals[0].Checks[0].Last {
					if c.Hint {
						hints++
					}
				}
				if observe && (hints < 2 || hints > 3) || !observe && hints > 0 {
					t.Errorf("observe %v: %d of 5 checks are hints", observe, hints)
				}
			})
		})
	}
}

// TestHintFindsAFailedServer checks that a hint changes a weight only through the check, and that a
// server that is down gets no hints.
func TestHintFindsAFailedServer(t *testing.T) {
	for _, observe := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			text := observing
			if !observe {
				text = strings.Replace(text, "observe=connections", "observe=no", 1)
			}
			w := newWorld(t, text)
			w.begin(t, "192.0.2.21:80", 32*time.Second)
			w.run(t, "web", func(*health.Daemon) {
				<-time.After(29 * time.Second)
				w.set(func() { w.down["192.0.2.21"] = true })
				<-time.After(2 * time.Second)
				w.want(t, vs+rs1+rs2)
				<-time.After(3 * time.Second)
				synctest.Wait()
				if !observe {
					w.want(t, vs+rs1+rs2)
					return
				}
				w.want(t, vs+rs1off+rs2)
				if gaps := w.gaps("192.0.2.21:80", 100*time.Second); gaps[0] != 30*time.Second || gaps[1] != 30*time.Second {
					t.Errorf("a server that is down: %v between checks", gaps)
				}
			})
		})
	}
}

package health_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lvs-agents/internal/health"
	"lvs-agents/internal/lvs"
)

// clients stores the IPVS table at the time of Send.
type clients struct {
	kernel *kernel
	sent   string
}

func (*clients) Len() int { return 1 }

func (c *clients) Send(context.Context) error {
	c.sent = c.kernel.String()
	return nil
}

// TestClientsAreReadBeforeTheServerLeaves makes the read of the connections slow, and lets it fail.
func TestClientsAreReadBeforeTheServerLeaves(t *testing.T) {
	for _, failure := range []error{nil, errors.New("interrupted")} {
		t.Run(fmt.Sprint(failure), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, strings.Replace(simple, "quiescent=no", "on_marked_down=reset", 1))
				gone := &clients{kernel: w.kernel}
				var read []string
				w.waiting = func(_ context.Context, destinations []lvs.Op) (health.Waiting, error) {
					for _, op := range destinations {
						read = append(read, op.Destination.Addr.String())
					}
					<-time.After(5 * time.Second)
					return gone, failure
				}
				w.run(t, "web", func(d *health.Daemon) {
					w.want(t, vs+rs1+rs2)
					if s, err := d.Snapshot(t.Context()); err != nil || s.Services[0].MarkedDown != "reset" {
						t.Errorf("status: %+v, %v", s.Services, err)
					}
					w.set(func() { w.down["192.0.2.21"] = true })
					w.settle()
					w.want(t, vs+rs1off+rs2)
					<-time.After(6 * time.Second)
					synctest.Wait()
					w.want(t, vs+rs2)
					if fmt.Sprint(read) != "[192.0.2.21:80]" || gone.sent != vs+rs2 {
						t.Errorf("read %v, sent with the table\n%s", read, gone.sent)
					}
					for _, e := range w.events {
						if e.Kind == health.TableRepaired {
							t.Errorf("a repair without a change by another program: %v", e.Op)
						}
					}
				})
			})
		})
	}
}

// TestClientsOfAServerThatComesBackSeeNoReset makes a real server good again while its clients are
// read.
func TestClientsOfAServerThatComesBackSeeNoReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, strings.Replace(simple, "quiescent=no", "on_marked_down=reset", 1))
		gone := &clients{kernel: w.kernel}
		reads := 0
		w.waiting = func(context.Context, []lvs.Op) (health.Waiting, error) {
			reads++
			<-time.After(5 * time.Second)
			return gone, nil
		}
		w.run(t, "web", func(*health.Daemon) {
			w.set(func() { w.down["192.0.2.21"] = true })
			w.settle()
			w.want(t, vs+rs1off+rs2)
			w.set(func() { w.down["192.0.2.21"] = false })
			<-time.After(8 * time.Second)
			synctest.Wait()
			w.want(t, vs+rs1+rs2)
			if reads != 1 || gone.sent != "" || strings.Contains(w.logged(), "sent segments") {
				t.Errorf("%d reads, sent with the table\n%s", reads, gone.sent)
			}
			w.set(func() { w.down["192.0.2.21"] = true })
			<-time.After(12 * time.Second)
			synctest.Wait()
			w.want(t, vs+rs2)
			if reads != 2 || gone.sent != vs+rs2 {
				t.Errorf("%d reads, sent with the table\n%s", reads, gone.sent)
			}
		})
	})
}

package directord

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sirupsen/logrus"

	"lvs-agents/internal/attribute"
	"lvs-agents/internal/control"
)

// cib is a cluster with permanent attributes of director1.
type cib struct {
	sync.Mutex
	attributes map[string]string
	err        error
}

func (c *cib) Name(context.Context) (string, error) { return "director1", nil }

func (c *cib) Kept(context.Context, string) (map[string]map[string]string, error) {
	c.Lock()
	defer c.Unlock()
	return map[string]map[string]string{"director1": maps.Clone(c.attributes), "director2": nil}, c.err
}

func TestDaemonFollowsOrdersOfTheCluster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const drain, weigh = "drain 0 2026-01-02T03:04:06Z - eva -t 192.0.2.10:80 192.0.2.21:80", "weight 7 2026-01-02T03:04:05Z - root -t 192.0.2.10:80 192.0.2.21:80"
		c := &cib{attributes: map[string]string{"lvs-order-a": drain, "lvs-order-b": weigh, "lvs-order-c": "?"}}
		var lines bytes.Buffer
		log := logrus.New()
		log.SetOutput(&lines)
		var got []string
		refuse := true
		f := &follower{node: c, log: log}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			f.run(ctx, func(_ context.Context, commands []control.Command) error {
				c.Lock()
				defer c.Unlock()
				if refuse {
					return errors.New("the kernel does not have the weights")
				}
				got = append(got, wordsOf(commands))
				return nil
			})
		}()
		want := func(when string, commands ...string) {
			t.Helper()
			<-time.After(3 * followPeriod)
			synctest.Wait()
			c.Lock()
			defer c.Unlock()
			if diff := cmp.Diff(commands, got); diff != "" {
				t.Errorf("%s: (-want +got):\n%s", when, diff)
			}
			got = nil
		}
		change := func(f func()) {
			c.Lock()
			defer c.Unlock()
			f()
		}
		want("refused")
		change(func() { refuse = false })
		want("at first", weigh+"\n"+drain)
		change(func() { delete(c.attributes, "lvs-order-a") })
		want("after a change", weigh)
		change(func() { c.err = errors.New("timed out") })
		want("without the cluster")
		change(func() { c.err, c.attributes = nil, nil })
		want("all orders have ended", "")
		cancel()
		<-ended
		text := lines.String()
		if strings.Count(text, "node attribute lvs-order-c: \\\"?\\\" is not an order; remove it: crm_attribute -N director1 -n lvs-order-c -D") != 1 || strings.Count(text, "reading the orders of the cluster: timed out") != 1 {
			t.Errorf("log:\n%s", text)
		}
	})
}

func TestOrdersAtTheStart(t *testing.T) {
	dir := t.TempDir()
	s := &server{options: options{stateDir: dir, id: "web"}, log: logrus.New()}
	stored := []control.Command{
		{Service: "-t 192.0.2.10:80", Servers: []string{"192.0.2.21:80"}, Order: control.Order{Kind: "drain", By: "eva"}},
		{Service: "-t 192.0.2.10:80", Servers: []string{"192.0.2.22:80"}, Order: control.Order{Kind: "maint", By: "old", Cluster: true}},
	}
	if err := s.saveOrders(stored); err != nil {
		t.Fatal(err)
	}
	s.follower = &follower{log: s.log}
	if diff := cmp.Diff(stored, s.orders(t.Context())); diff != "" {
		t.Errorf("outside of a cluster (-want +got):\n%s", diff)
	}
	c := &cib{err: attribute.ErrNoCluster}
	s.follower.node = c
	if diff := cmp.Diff(stored, s.orders(t.Context())); diff != "" {
		t.Errorf("without the cluster (-want +got):\n%s", diff)
	}
	const drain = "drain 0 2026-01-02T03:04:06Z - new -t 192.0.2.10:80 192.0.2.23:80"
	c.err, c.attributes = nil, map[string]string{"lvs-order-a": drain}
	if got := s.orders(t.Context()); len(got) != 2 || got[0].Order.By != "eva" || got[1].Words() != drain || !got[1].Order.Cluster {
		t.Errorf("with the cluster: %+v", got)
	}
}

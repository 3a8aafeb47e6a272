package directord

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sirupsen/logrus"

	"lvs-agents/internal/attribute"
	"lvs-agents/internal/control"
	"lvs-agents/internal/health"
)

// cluster is a fake cluster. It stores the attributes that a publisher sets.
type cluster struct {
	sync.Mutex
	share health.Share
	err   error         // err is the error that each call of Get, Set and SetPrivate returns.
	slow  time.Duration // slow is how long a call of Set takes.
	set   []string      // set has "name value dampen" of each call of Set that succeeded, and "name value" of SetPrivate.
	has   string        // has is the value of the attribute in the cluster.
	tries int           // tries is the number of calls of Set and Get.
	// tables is the text of the daemon's hash tables; empty for none.
	tables string
	// setup is the text of setupOf. Without a text, the publisher has no setupOf.
	setup atomic.Value
}

func (c *cluster) Get(context.Context, string) (string, error) {
	c.Lock()
	defer c.Unlock()
	c.tries++
	return c.has, c.err
}

func (c *cluster) Set(ctx context.Context, name, value string, dampen time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(c.slow):
	}
	c.Lock()
	defer c.Unlock()
	c.tries++
	if c.err == nil {
		c.has = value
		c.set = append(c.set, fmt.Sprint(name, " ", value, " ", dampen))
	}
	return c.err
}

func (c *cluster) SetPrivate(_ context.Context, name, value string) error {
	c.Lock()
	defer c.Unlock()
	if c.err == nil {
		c.set = append(c.set, fmt.Sprint(name, " ", value))
	}
	return c.err
}

// HashTables returns the hash tables of a daemon.
func (c *cluster) HashTables(context.Context) (string, error) {
	c.Lock()
	defer c.Unlock()
	return c.tables, nil
}

// Share returns the share of a daemon.
func (c *cluster) Share(context.Context) (health.Share, error) {
	c.Lock()
	defer c.Unlock()
	return c.share, nil
}

// see sets the share that the fake daemon reports.
func (c *cluster) see(good int, known bool) {
	c.Lock()
	defer c.Unlock()
	c.share.Good, c.share.Known = good, known
}

// publishing runs a publisher for the cluster while f runs. f gets the publisher and its log.
func publishing(t *testing.T, c *cluster, f func(p *publisher, log *bytes.Buffer)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var lines bytes.Buffer
		log := logrus.New()
		log.SetOutput(&lines)
		log.SetLevel(logrus.DebugLevel)
		p := newPublisher("lvs-health-web", c, c, log)
		if c.setup.Load() != nil {
			p.setupOf = func() string { return c.setup.Load().(string) }
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			p.run(ctx)
		}()
		f(p, &lines)
		cancel()
		<-ended
	})
}

// after waits, and then compares the attributes that were set since the last call.
func (c *cluster) after(t *testing.T, wait time.Duration, want ...string) {
	t.Helper()
	<-time.After(wait)
	synctest.Wait()
	c.Lock()
	defer c.Unlock()
	if diff := cmp.Diff(want, c.set); diff != "" {
		t.Errorf("set (-want +got):\n%s", diff)
	}
	c.set = nil
}

func TestPublish(t *testing.T) {
	c := &cluster{share: health.Share{Good: 3, All: 4, Reaction: 5 * time.Second}}
	publishing(t, c, func(p *publisher, log *bytes.Buffer) {
		c.after(t, time.Minute)
		if !p.state.Load().Pending() {
			t.Error("a value without verdicts")
		}
		c.see(3, true)
		c.after(t, 100*time.Millisecond, "lvs-health-web 875 0s", "lvs-health-web 875 10s")
		if got := *p.state.Load(); got != (control.Attribute{Name: "lvs-health-web", Value: "875"}) {
			t.Errorf("status %+v", got)
		}
		c.see(4, true)
		c.after(t, time.Second, "lvs-health-web 1000 10s")
		c.see(0, false) // As after a reload that adds real servers, the share is unknown.
		c.after(t, 30*time.Second)
		c.see(4, true)
		c.after(t, time.Minute)
		c.Lock()
		c.has = "" // Pacemaker was restarted
		c.Unlock()
		c.after(t, 21*time.Second, "lvs-health-web 1000 0s", "lvs-health-web 1000 10s")
		c.after(t, time.Minute)
		if log.Len() > 0 {
			t.Errorf("log:\n%s", log)
		}
	})
}

// TestPublishHashTables checks that the digests of the hash tables are published when they change,
// and once a minute.
func TestPublishHashTables(t *testing.T) {
	const first, second = "-t 192.0.2.10:80 12345678", "-t 192.0.2.10:80 9abcdef0"
	c := &cluster{share: health.Share{Known: true, Good: 4, All: 4}, tables: first, has: "1000"}
	publishing(t, c, func(*publisher, *bytes.Buffer) {
		c.after(t, 30*time.Second, "lvs-health-web 1000 0s", "lvs-health-web 1000 0s", "lvs-health-web-tables "+first)
		c.Lock()
		c.tables = second
		c.Unlock()
		c.after(t, 2*time.Second, "lvs-health-web-tables "+second)
		c.after(t, time.Minute, "lvs-health-web-tables "+second)
		c.Lock()
		c.tables = "" // As after a reload that removes the service, there are no hash tables.
		c.Unlock()
		c.after(t, 2*time.Second, "lvs-health-web-tables ")
		c.after(t, 10*time.Second)
	})
}

// TestPublishSetup checks that the version and the digest of the configuration file are published
// when they change, and once a minute.
func TestPublishSetup(t *testing.T) {
	c := &cluster{share: health.Share{Known: true, Good: 4, All: 4}, has: "1000"}
	c.setup.Store("1.0 aaaa")
	publishing(t, c, func(*publisher, *bytes.Buffer) {
		c.after(t, 30*time.Second, "lvs-health-web 1000 0s", "lvs-health-web 1000 0s", "lvs-health-web-setup 1.0 aaaa")
		c.setup.Store("1.0 bbbb")
		c.after(t, 2*time.Second, "lvs-health-web-setup 1.0 bbbb")
		c.after(t, time.Minute, "lvs-health-web-setup 1.0 bbbb")
	})
}

// TestPublishNewestValue checks that a slow cluster does not get a value if a newer value exists.
func TestPublishNewestValue(t *testing.T) {
	c := &cluster{share: health.Share{Known: true, Good: 4, All: 4}, slow: 4 * time.Second}
	publishing(t, c, func(*publisher, *bytes.Buffer) {
		c.after(t, 10*time.Second, "lvs-health-web 1000 0s", "lvs-health-web 1000 0s")
		c.see(3, true)
		<-time.After(1500 * time.Millisecond) // Set with 875 runs
		c.see(2, true)
		<-time.After(time.Second)
		c.see(1, true)
		c.after(t, 9*time.Second, "lvs-health-web 875 0s", "lvs-health-web 625 0s")
	})
}

func TestPublishFails(t *testing.T) {
	c := &cluster{share: health.Share{Known: true, Good: 4, All: 4}, err: errors.New("attrd_updater: timed out")}
	publishing(t, c, func(p *publisher, log *bytes.Buffer) {
		c.after(t, 20*time.Second)
		if got := strings.Count(log.String(), `level=warning msg="node attribute not published: attrd_updater: timed out"`); got != 1 {
			t.Errorf("%d warnings:\n%s", got, log)
		}
		if got := *p.state.Load(); got.Trouble != "attrd_updater: timed out" || got.Pending() {
			t.Errorf("status %+v", got)
		}
		if c.tries < 3 || c.tries > 5 {
			t.Errorf("%d attempts", c.tries)
		}
		c.Lock()
		c.err = nil
		c.Unlock()
		c.after(t, 6*time.Second, "lvs-health-web 1000 0s", "lvs-health-web 1000 0s")
		if got := *p.state.Load(); got.Trouble != "" {
			t.Errorf("status %+v", got)
		}
	})
}

// TestPublishOutsideOfACluster checks that the daemon logs only one line, at level debug, on a host
// without Pacemaker.
func TestPublishOutsideOfACluster(t *testing.T) {
	c := &cluster{share: health.Share{Known: true, Good: 4, All: 4}, err: fmt.Errorf("attrd_updater: %w", attribute.ErrNoCluster)}
	publishing(t, c, func(p *publisher, log *bytes.Buffer) {
		<-time.After(50 * time.Second)
		synctest.Wait()
		if c.tries != 3 || p.state.Load() != nil || strings.Count(log.String(), "\n") != 1 || !strings.Contains(log.String(), "level=debug") {
			t.Errorf("%d attempts, status %v, log:\n%s", c.tries, p.state.Load(), log)
		}
	})
	if p := newPublisher("", nil, nil, nil); p.state.Load() != nil {
		t.Error("status without a name")
	}
}

package directord

import (
	"context"
	"errors"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"

	"lvs-agents/internal/attribute"
	"lvs-agents/internal/control"
	"lvs-agents/internal/health"
)

// nodeAttributes reads and sets attributes of this node of a cluster.
type nodeAttributes interface {
	Get(ctx context.Context, name string) (value string, err error)
	Set(ctx context.Context, name, value string, dampen time.Duration) error
	SetPrivate(ctx context.Context, name, value string) error
}

// engine has the methods of health.Daemon that the publisher calls.
type engine interface {
	Share(context.Context) (health.Share, error)
	HashTables(context.Context) (string, error)
}

// publisher publishes the share of good real servers as an attribute of this node. With the
// attribute, the cluster can give the VIP to the director that sees more good real servers. A
// second attribute has a digest of each hash table. A third attribute has the version and a digest
// of the configuration file. lvsctl doctor compares both with other directors.
type publisher struct {
	name   string // name is the name of the node attribute for the share. If it is empty, the daemon publishes nothing.
	node   nodeAttributes
	engine engine
	log    logrus.FieldLogger

	state atomic.Pointer[control.Attribute] // state is the state of the attribute for lvsctl status. It is nil without a cluster.
	value string                            // value is the value that the cluster has received. It is empty before the first value.
	// until is the time of the next comparison with the cluster, or of the next attempt.
	until time.Time
	// warned says that the last attempt failed and that the failure was logged.
	warned bool

	tables private
	setup  private
	// setupOf returns the version and a digest of the configuration file. It can be nil.
	setupOf func() string
}

// private is a private attribute that lvsctl doctor reads.
type private struct {
	value string    // value is the value of the last attempt. It is empty before the first attempt.
	until time.Time // until is when the next attempt with the same value is due.
}

func newPublisher(name string, node nodeAttributes, engine engine, log logrus.FieldLogger) *publisher {
	p := &publisher{name: name, node: node, engine: engine, log: log}
	if name != "" {
		p.state.Store(&control.Attribute{Name: name})
	}
	return p
}

const (
	// firstPeriod and nextPeriod are the times between two reads of the verdicts, before and after
	// the first value is published. A start of the resource waits for the first value.
	firstPeriod, nextPeriod = 100 * time.Millisecond, time.Second
	// compared is the time after which the value is compared with the value of the cluster.
	// Pacemaker forgets the value when it is restarted.
	compared = 20 * time.Second
	// retried is the time after which a failed attempt is repeated.
	retried = 5 * time.Second
)

// run publishes every changed value until ctx ends. Only the latest value counts, so a slow cluster
// gets fewer values.
func (p *publisher) run(ctx context.Context) {
	if p.name == "" {
		return
	}
	read := time.NewTicker(firstPeriod)
	defer read.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-read.C:
		}
		share, err := p.engine.Share(ctx)
		if err != nil || !share.Known {
			continue // Until every real server has a verdict, the node attribute keeps its last value.
		}
		p.publish(ctx, share)
		p.publishTables(ctx)
		if p.setupOf != nil {
			p.publishPrivate(ctx, &p.setup, attribute.Setup(p.name), p.setupOf())
		}
		if p.value != "" {
			read.Reset(nextPeriod)
		}
	}
}

// publish publishes the score of a share if it is new, or if the cluster has forgotten it.
func (p *publisher) publish(ctx context.Context, share health.Share) {
	value, now := strconv.Itoa(share.Score()), time.Now()
	if now.Before(p.until) && (value == p.value || p.warned) {
		return
	}
	err := p.set(ctx, value, 2*share.Reaction)
	switch {
	case ctx.Err() != nil:
		return
	case err == nil:
		p.value, p.until = value, now.Add(compared)
		p.state.Store(&control.Attribute{Name: p.name, Value: value})
	case errors.Is(err, attribute.ErrNoCluster):
		p.until = now.Add(compared)
		p.state.Store(nil)
		p.logOnce(p.log.Debug, err)
	default:
		p.until = now.Add(retried)
		p.state.Store(&control.Attribute{Name: p.name, Value: p.value, Trouble: err.Error()})
		p.logOnce(p.log.Warn, err)
	}
	p.warned = err != nil
}

func (p *publisher) logOnce(log func(...any), err error) {
	if !p.warned {
		log("node attribute not published: ", err)
	}
}

// set sets the attribute. The cluster gets the first value at once, and a value that it has
// forgotten. It gets other values after the dampen time. Within this time, the other directors see
// the same fault of a real server.
func (p *publisher) set(ctx context.Context, value string, dampen time.Duration) error {
	if value == p.value {
		if got, err := p.node.Get(ctx, p.name); err != nil || got == value {
			return err
		}
		p.value = ""
	}
	if p.value == "" {
		if err := p.node.Set(ctx, p.name, value, 0); err != nil {
			return err
		}
	}
	return p.node.Set(ctx, p.name, value, dampen)
}

// publishTables publishes the digests of the hash tables.
func (p *publisher) publishTables(ctx context.Context) {
	if tables, err := p.engine.HashTables(ctx); err == nil {
		p.publishPrivate(ctx, &p.tables, attribute.HashTables(p.name), tables)
	}
}

// publishPrivate publishes a value if it is new, or if the last attempt is a minute ago. It
// publishes nothing before the first value that is not empty. It does not log a failure, because
// only lvsctl doctor reads the attribute.
func (p *publisher) publishPrivate(ctx context.Context, a *private, name, value string) {
	now := time.Now()
	if value == a.value && (value == "" || now.Before(a.until)) {
		return
	}
	a.value, a.until = value, now.Add(time.Minute)
	_ = p.node.SetPrivate(ctx, name, value)
}

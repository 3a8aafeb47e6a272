package health

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"lvs-agents/internal/config"
	"lvs-agents/internal/lvs"
)

// Waiting are clients whose real servers leave the table.
type Waiting interface {
	Len() int
	// Send makes the clients see a TCP reset.
	Send(ctx context.Context) error
}

// departures lets bad real servers with config.Reset leave the table in two steps. The kernel
// forgets the connections together with the real server. So the real server first gets weight 0,
// while another goroutine reads its connections. The goroutine of reconciler.run calls the methods.
type departures struct {
	// read reads the clients of destinations. Nil means that clients see no reset.
	read func(ctx context.Context, destinations []lvs.Op) (Waiting, error)
	log  logrus.FieldLogger
	// waiting has the destinations that the last plan holds in the table.
	waiting map[entry]lvs.Op
	reading bool
	// ready has the destinations that can leave the table, because clients has their clients.
	ready   map[entry]bool
	clients Waiting
	results chan departed
	running sync.WaitGroup
}

// departed is the result of a read.
type departed struct {
	of      map[entry]lvs.Op
	clients Waiting
}

// readLimit is how long a read can take. The kernel needs seconds for 100,000 connections. After
// this time, the real server leaves the table, and only the clients that were read see a reset.
const readLimit = 10 * time.Second

// hold keeps bad real servers of the kernel in the target, with weight 0, until their clients are
// read.
func (d *departures) hold(target, have lvs.Table, services map[lvs.ServiceID]*Service) {
	d.waiting = map[entry]lvs.Op{}
	for i, v := range target {
		s := services[v.ID]
		if d.read == nil || s == nil || s.MarkedDown != config.Reset {
			continue
		}
		leaving := map[netip.AddrPort]bool{}
		for _, real := range s.Reals {
			leaving[real.Addr] = true
		}
		for _, w := range v.Destinations {
			delete(leaving, w.Addr)
		}
		held, _ := have.Lookup(v.ID)
		for _, h := range held.Destinations {
			op := lvs.Op{Verb: lvs.DeleteDestination, Service: lvs.Service{ID: v.ID}, Destination: h}
			if leaving[h.Addr] && !d.ready[entryOf(op)] {
				d.waiting[entryOf(op)] = op
				h.Weight = 0
				target[i].Destinations = append(slices.Clip(target[i].Destinations), h)
			}
		}
	}
}

// proceed begins the next step. Call it after a round, when the kernel has the target.
func (d *departures) proceed(ctx context.Context, target lvs.Table) {
	if clients := d.clients; clients != nil && clients.Len() > 0 && d.left(target) {
		d.running.Go(func() {
			if err := clients.Send(ctx); err != nil && ctx.Err() == nil {
				d.log.Warnf("on_marked_down=reset: clients of removed real servers that only wait get no reset: %v", err)
				return
			}
			d.log.Infof("on_marked_down=reset: sent segments for %d connections to removed real servers, so that the clients get a reset", clients.Len())
		})
	}
	d.clients, d.ready = nil, nil
	if d.reading || len(d.waiting) == 0 {
		return
	}
	d.reading = true
	of := d.waiting
	ops := make([]lvs.Op, 0, len(of))
	for _, op := range of {
		ops = append(ops, op)
	}
	d.running.Go(func() {
		limited, cancel := context.WithTimeout(ctx, readLimit)
		defer cancel()
		clients, err := d.read(limited, ops)
		if err != nil && ctx.Err() == nil {
			d.log.Warnf("on_marked_down=reset: reading the connections of removed real servers: %v", err)
		}
		d.results <- departed{of, clients}
	})
}

// left reports whether the target lacks a destination that was ready. While its clients were read,
// the real server can have become good again, or the daemon can have lost the service.
func (d *departures) left(target lvs.Table) bool {
	for e := range d.ready {
		v, held := target.Lookup(e.service)
		if held && !slices.ContainsFunc(v.Destinations, func(w lvs.Destination) bool { return w.Addr == e.destination }) {
			return true
		}
	}
	return false
}

// arrived keeps the result of a read. The next round removes the real servers.
func (d *departures) arrived(result departed) {
	d.reading, d.clients, d.ready = false, result.clients, map[entry]bool{}
	for e := range result.of {
		d.ready[e] = true
	}
}

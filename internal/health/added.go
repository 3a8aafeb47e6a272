package health

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"lvs-agents/internal/config"
	"lvs-agents/internal/control"
	"lvs-agents/internal/lvs"
	"lvs-agents/internal/policy"
)

// mostAdded is how many real servers operators can add to one service.
const mostAdded = 1024

// add is the kind of an order that adds a real server.
const add = string(policy.Add)

// usualOf returns a service with only the real servers that config.Service.Added reads: the first
// of each forwarding method.
func usualOf(s config.Service) *config.Service {
	all := s.Reals
	s.Reals = nil
	for _, real := range all {
		if !slices.ContainsFunc(s.Reals, func(r config.Real) bool { return r.Forward == real.Forward }) {
			s.Reals = append(s.Reals, real)
		}
	}
	return &s
}

// added returns the real server that an order adds to the service.
func (s Service) added(addr netip.AddrPort, o control.Order) (Real, error) {
	if s.origin == nil || len(s.origin.Checks) == 0 {
		return Real{}, fmt.Errorf("service %s has no check for a new real server; add the real server to the configuration", s.ID)
	}
	d := lvs.Destination{Addr: addr, Weight: o.Weight, Forward: lvs.Route}
	switch {
	case o.Forward != "":
		var err error
		if d.Forward, d.Encapsulation, err = lvs.ParseForward(o.Forward); err != nil {
			return Real{}, err
		}
	case len(s.origin.Reals) > 0:
		d.Forward = s.origin.Reals[0].Forward
	}
	real, err := s.origin.Added(d)
	if err != nil {
		return Real{}, fmt.Errorf("adding to %s: %w", s.ID, err)
	}
	return Real{Destination: real.Destination, Probes: probesOf(*s.origin, real), Agent: agentOf(*s.origin, real)}, nil
}

// has reports whether the service has a real server or a fallback with this address.
func (s *Service) has(addr netip.AddrPort) bool {
	return s.IsFallback(addr) || slices.ContainsFunc(s.Reals, func(r Real) bool { return r.Addr == addr })
}

// addable returns an error if an order cannot add the real servers of a command to a service.
func (d *Daemon) addable(i int, targets []Member, o control.Order) error {
	s := &d.setup.Services[i]
	n := 0
	for m := range d.added {
		n += one(m.Service == s.ID)
	}
	for _, m := range targets {
		if n++; n > mostAdded {
			return fmt.Errorf("operators can add at most %d real servers to service %s; write them into the configuration", mostAdded, s.ID)
		}
		if s.has(m.Server) {
			return fmt.Errorf("service %s already has the real server %s", s.ID, m.Server)
		}
		real, err := s.added(m.Server, o)
		if err == nil {
			_, err = d.checkers(Setup{Services: []Service{{Reals: []Real{real}}}})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// enrolled returns the configuration with the real servers that operators have added. The second
// result has only these real servers.
func (d *Daemon) enrolled() (Setup, map[Member]Real) {
	setup, added := d.configured, map[Member]Real{}
	now := time.Now()
	var services []Service
	for _, m := range d.orders.members() {
		i := slices.IndexFunc(d.orders.of(m, now), func(o control.Order) bool { return o.Kind == add })
		at := slices.IndexFunc(setup.Services, func(s Service) bool { return s.ID == m.Service })
		if i < 0 || at < 0 || setup.Services[at].has(m.Server) {
			continue
		}
		if services == nil {
			services = slices.Clone(setup.Services)
			setup.Services = services
		}
		s := &services[at]
		real, err := s.added(m.Server, d.orders.of(m, now)[i])
		if len(s.Reals)-len(d.configured.Services[at].Reals) >= mostAdded {
			err = fmt.Errorf("real server %s cannot be added to %s: operators have added %d others", m.Server, s.ID, mostAdded)
		}
		if err != nil {
			d.options.Log.Warn(err)
			continue
		}
		s.Reals, added[m] = append(slices.Clip(s.Reals), real), real
		s.Fallbacks = slices.Clone(s.Fallbacks)
		for j, f := range s.Fallbacks {
			s.Fallbacks[j] = s.lastResort(f)
		}
	}
	return setup, added
}

// enroll adds the real servers that orders add now, and removes the added real servers whose orders
// have ended. The caller must decide about all services after that.
func (d *Daemon) enroll(ctx context.Context) {
	setup, added := d.enrolled()
	if maps.EqualFunc(added, d.added, Real.equal) {
		return
	}
	d.refresh()
	// The table can have this address already. A new real server must pass its checks first.
	for i := range d.found {
		d.found[i].Destinations = slices.DeleteFunc(slices.Clone(d.found[i].Destinations), func(found lvs.Destination) bool {
			m := Member{d.setup.Services[i].ID, found.Addr}
			_, before := d.added[m]
			_, after := added[m]
			return before != after
		})
	}
	d.install(ctx, setup, added)
	d.reloaded = true
}

func (r Real) equal(other Real) bool {
	return r.Destination == other.Destination && r.Agent == other.Agent && slices.Equal(r.Probes, other.Probes)
}

// targetsOf returns the probes of the configuration and of the added real servers, with their
// checkers.
func (d *Daemon) targetsOf(added map[Member]Real) []target {
	var reals []Real
	for _, real := range added {
		reals = append(reals, real)
	}
	extra, err := d.checkers(Setup{Services: []Service{{Reals: reals}}})
	if err != nil {
		d.options.Log.Error(err)
	}
	return slices.Concat(d.checks, extra)
}

// supersede ends each order that adds a real server of the configuration.
func (d *Daemon) supersede() {
	ended := false
	for _, m := range d.orders.members() {
		at := slices.IndexFunc(d.configured.Services, func(s Service) bool { return s.ID == m.Service })
		if at < 0 || !d.configured.Services[at].has(m.Server) {
			continue
		}
		left := slices.DeleteFunc(slices.Clone(d.orders[m]), func(o control.Order) bool {
			if o.Kind != add {
				return false
			}
			d.noteEnd(m, o, "the configuration has this real server")
			ended = true
			return true
		})
		d.orders.replace(m, left)
	}
	if ended {
		d.saveEnded()
	}
}

// expire ends each order whose time is over. It reports whether it has ended one.
func (d *Daemon) expire(ctx context.Context) bool {
	now, ended := time.Now(), false
	for _, m := range d.orders.members() {
		left := d.orders.of(m, now)
		if len(left) == len(d.orders[m]) {
			continue
		}
		ended = true
		for _, o := range d.orders[m] {
			if !slices.Contains(left, o) {
				d.noteEnd(m, o, "its time is over")
			}
		}
		_, added := d.added[m]
		d.orders.replace(m, left)
		if added && !slices.ContainsFunc(left, func(o control.Order) bool { return o.Kind == add }) {
			d.orders.forget(m)
		}
	}
	if ended {
		d.saveEnded()
		d.enroll(ctx)
		d.decideAll()
	}
	return ended
}

// noteEnd logs and reports that an order has ended without a command.
func (d *Daemon) noteEnd(m Member, o control.Order, why string) {
	d.options.Log.Infof("the order %s has ended: %s", control.Command{Service: m.Service.String(), Servers: []string{m.Server.String()}, Order: o}, why)
	e := d.event(OrderEnded, serviceOf(d.services, lvs.Op{Service: lvs.Service{ID: m.Service}}))
	e.Server, e.By, e.Reason = m.Server, o.By, o.String()+": "+why
	d.options.occurred(e)
}

func (d *Daemon) saveEnded() {
	if err := d.save(d.orders); err != nil {
		d.options.Log.Errorf("the end of orders cannot be stored: %v", err)
	}
}

// replace makes left the orders for a real server.
func (o orders) replace(m Member, left []control.Order) {
	if o[m] = left; len(left) == 0 {
		delete(o, m)
	}
}

// forget ends all orders for a real server, except orders of the cluster.
func (o orders) forget(m Member) {
	o.replace(m, slices.DeleteFunc(slices.Clone(o[m]), func(o control.Order) bool { return !o.Cluster }))
}

package health

import (
	"net/netip"
	"slices"
	"time"

	"lvs-agents/internal/config"
	"lvs-agents/internal/lvs"
)

// Kind is what an event reports. Its text is the one in JSON.
type Kind string

// The kinds.
const (
	ServiceAdded   Kind = "service_added"
	ServiceChanged Kind = "service_changed" // its scheduler, for instance
	ServiceRemoved Kind = "service_removed"
	ServiceEmpty   Kind = "service_empty"   // its last good real server is down
	ServiceServing Kind = "service_serving" // its first real server is good

	ServerUp      Kind = "server_up"      // it gets connections
	ServerDown    Kind = "server_down"    // its checks failed
	ServerDrained Kind = "server_drained" // an operator took it out, or its configured weight is 0
	ServerChanged Kind = "server_changed" // its weight or its forwarding method
	ServerRemoved Kind = "server_removed" // it is not configured, or the daemon ends
	FallbackIn    Kind = "fallback_in"
	FallbackOut   Kind = "fallback_out"

	CheckFailed Kind = "check_failed" // and the server stays in: too few failures in a row
	CheckPassed Kind = "check_passed" // after a failure, or the first of a server that was out

	TableRepaired Kind = "table_repaired" // another program had changed the table
	ConfigLoaded  Kind = "configuration_loaded"
	ConfigRefused Kind = "configuration_refused"
)

// Event is something that happened to a service or to the configuration.
type Event struct {
	Kind  Kind
	Time  time.Time
	Phase config.Phase // of the daemon; empty for TableRepaired
	// Service is the configured service. It has only the identity if the service is not
	// configured. It is nil for an event of the configuration.
	Service *Service
	Server  netip.AddrPort // real server or fallback; zero for an event of the service
	Op      lvs.Op         // the change of the table; its Verb is 0 for none

	// From and To are the weights in the table, out for a server that is not in it.
	// They are valid for changes of real servers and fallbacks; From is not for TableRepaired.
	From, To int

	Check    string  // of the real server, its failing check if it has several: the application or the type
	Verdict  Verdict // on the real server
	Failures int     // of checks in a row: with this one, or before the one that passed
	Fall     int     // so many Failures make the server bad
	Reason   string  // of the verdict or of the refusal; empty for none
	// Lasted is how long the verdict before this one lasted; zero where the event does not
	// follow from a verdict.
	Lasted time.Duration
}

func (d *Daemon) event(kind Kind, s *Service) Event {
	return Event{Kind: kind, Time: time.Now(), Phase: d.phase(), Service: s}
}

// about adds a configured real server to an event.
func (d *Daemon) about(e Event, real Real) Event {
	e.Server = real.Addr
	if len(real.Probes) > 0 {
		e.Check = d.deciding(real).name()
	}
	e.Verdict, e.Reason = d.verdict(e.Service.ID, real), d.why(e.Service.ID, real)
	return e
}

// probed adds a configured real server and one of its probes to an event.
func (d *Daemon) probed(e Event, real Real, p Probe) Event {
	e = d.about(e, real)
	e.Check = p.name()
	if !d.out[Member{e.Service.ID, real.Addr}] {
		e.Reason = d.trackers[p].reason
	}
	return e
}

// changes reports whether an event is a change of the table.
func (e Event) changes() bool { return e.Op.Verb != 0 }

// steps returns the changes of a service from one table to the next: the service, its real
// servers, its fallback.
func (d *Daemon) steps(i int, before, after lvs.VirtualService) []Event {
	service := &d.setup.Services[i]
	var have lvs.Table
	if before.ID == after.ID {
		have = lvs.Table{before}
	}
	ops := lvs.Plan(lvs.Table{after}, have, lvs.ScopeOf(lvs.Table{after}))
	if len(ops) == 0 {
		return nil
	}
	fallbackLast := func(op lvs.Op) int { return one(service.IsFallback(op.Destination.Addr)) }
	slices.SortStableFunc(ops, func(a, b lvs.Op) int { return fallbackLast(a) - fallbackLast(b) })
	weights := weightsOf(before.Destinations)
	events := make([]Event, 0, len(ops))
	for _, op := range ops {
		events = append(events, d.step(i, op, weights))
	}
	return events
}

// weightsOf returns the weights of destinations by address.
func weightsOf(destinations []lvs.Destination) map[netip.AddrPort]int {
	weights := make(map[netip.AddrPort]int, len(destinations))
	for _, d := range destinations {
		weights[d.Addr] = d.Weight
	}
	return weights
}

// step returns the event of one operation. weights are the weights before it.
func (d *Daemon) step(i int, op lvs.Op, weights map[netip.AddrPort]int) Event {
	service := &d.setup.Services[i]
	e := d.event("", service)
	e.Op = op
	switch op.Verb {
	case lvs.AddService:
		e.Kind = ServiceAdded
		return e
	case lvs.EditService:
		e.Kind = ServiceChanged
		return e
	case lvs.DeleteService:
		e.Kind = ServiceRemoved
		return e
	case lvs.AddDestination, lvs.EditDestination, lvs.DeleteDestination:
	}
	at, configured := d.standing[i].index[op.Destination.Addr]
	if configured {
		e = d.about(e, service.Reals[at])
	}
	e.Server, e.From, e.To = op.Destination.Addr, out, out
	if weight, present := weights[e.Server]; present {
		e.From = weight
	}
	if op.Verb != lvs.DeleteDestination {
		e.To = op.Destination.Weight
	}
	e.Kind = d.kindOf(e, configured)
	return e
}

// kindOf returns the kind of a change of a real server or a fallback.
func (d *Daemon) kindOf(e Event, configured bool) Kind {
	fallback := e.Service.IsFallback(e.Server)
	switch {
	case fallback && e.To == out:
		return FallbackOut
	case fallback:
		return FallbackIn
	case !configured && e.To == out:
		return ServerRemoved
	case e.To > 0 && e.From > 0:
		return ServerChanged
	case e.To > 0:
		return ServerUp
	case e.Verdict == Good || d.out[Member{e.Service.ID, e.Server}]:
		return ServerDrained
	}
	return ServerDown
}

// IsFallback reports whether the service has a fallback with this address.
func (s *Service) IsFallback(addr netip.AddrPort) bool {
	return slices.ContainsFunc(s.Fallbacks, func(f lvs.Destination) bool { return f.Addr == addr })
}

// entry is what an op or an event is about: a service, or a destination of one.
type entry struct {
	service     lvs.ServiceID
	destination netip.AddrPort
}

func entryOf(op lvs.Op) entry { return entry{op.Service.ID, op.Destination.Addr} }

func (e Event) entry() entry { return entry{e.Service.ID, e.Server} }

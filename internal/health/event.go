package health

import (
	"net/netip"
	"slices"
	"time"

	"lvs-agents/internal/config"
	"lvs-agents/internal/lvs"
	"lvs-agents/internal/policy"
)

// Kind is the kind of an event. Its text is the value of the field "kind" in JSON.
type Kind string

// The kinds of events.
const (
	ServiceAdded Kind = "service_added"
	// ServiceChanged: settings of the service changed, for example its scheduler.
	ServiceChanged Kind = "service_changed"
	ServiceRemoved Kind = "service_removed"
	// ServiceEmpty: the last good real server of the service is down.
	ServiceEmpty Kind = "service_empty"
	// ServiceServing: the first real server of the service became good.
	ServiceServing Kind = "service_serving"

	ServerUp   Kind = "server_up"   // ServerUp: the real server gets new connections.
	ServerDown Kind = "server_down" // ServerDown: the real server gets no new connections because of its checks.
	// ServerDrained: an operator or the real server itself has drained it, or its configured weight
	// is 0.
	ServerDrained Kind = "server_drained"
	// ServerChanged: the weight or the forwarding method of the real server changed.
	ServerChanged Kind = "server_changed"
	// ServerRising: the weight of the real server rose by a step of its slow start.
	ServerRising Kind = "server_rising"
	// ServerAdjusted: the real server has changed its weight or its limit of connections on its own.
	ServerAdjusted Kind = "server_adjusted"
	// ServerRemoved: the real server is not configured any more, an operator removed it, or the
	// daemon ends.
	ServerRemoved Kind = "server_removed"
	FallbackIn    Kind = "fallback_in"
	FallbackOut   Kind = "fallback_out"

	// QuorumDown: too few real servers are healthy for the quorum or the minimum of the service.
	QuorumDown = Kind(policy.QuorumDown)
	QuorumUp   = Kind(policy.QuorumUp) // QuorumUp: enough real servers are healthy again.
	// CapReached: a bad real server serves, because checks have taken out as many as they can.
	CapReached = Kind(policy.CapReached)
	CapLeft    = Kind(policy.CapLeft) // CapLeft: no bad real server serves any more.

	// CheckFailed: a check failed, but too few times in a row to make the server bad.
	CheckFailed Kind = "check_failed"
	// CheckPassed: a check passed after a failure, or as the first check of a server that got no
	// connections.
	CheckPassed Kind = "check_passed"

	// OwnFault: the daemon suspects itself, because this host has no path to most real servers, or
	// because too many of them failed at the same moment.
	OwnFault Kind = "own_fault"
	// OwnFaultOver: the time of OwnFault has passed, and the verdicts count again.
	OwnFaultOver Kind = "own_fault_over"
	// ServiceTaken: the daemon can change the destinations of the service again, or has taken the
	// service over.
	ServiceTaken Kind = "service_taken"
	// ServiceLost: the daemon must not change the destinations of the service any more.
	ServiceLost Kind = "service_lost"
	// OrderGiven: an operator gave an order for a real server, or for all of a service.
	OrderGiven Kind = "order_given"
	// OrderEnded: the time of an order is over, or the configuration has the real server that an order
	// added.
	OrderEnded Kind = "order_ended"
	// TableRepaired: the daemon undid a change of the IPVS table by another program, or changed
	// services of an earlier configuration.
	TableRepaired Kind = "table_repaired"
	ConfigLoaded  Kind = "configuration_loaded"
	ConfigRefused Kind = "configuration_refused"
	// AddressHere: this host has the virtual address of the service now, or had it when the daemon
	// began.
	AddressHere Kind = "address_here"
	AddressGone Kind = "address_gone" // AddressGone: the virtual address of the service has left this host.
	// DaemonEnded: the daemon ends in order, for example because its resource stops on this node.
	DaemonEnded Kind = "daemon_ended"
)

// Event is something that happened to a service or to the configuration.
type Event struct {
	Kind  Kind
	Time  time.Time
	Phase config.Phase // Phase is the phase of the daemon. It is empty for TableRepaired.
	// Service is the configured service. If the configuration does not have the service, only its
	// identity is set. Service is nil for an event of the configuration.
	Service *Service
	// Server is the address of the real server or fallback. It is zero for an event of the service.
	Server netip.AddrPort
	Op     lvs.Op // Op is the change of the IPVS table. If nothing changed, its Verb is 0.
	// Undone is the change by another program that Op has undone. Its Verb is 0 for no such change.
	Undone lvs.Op

	// From and To are the weights in the IPVS table before and after the change. Their value is out
	// if the table does not have the server. Both are valid only for changes of real servers and
	// fallbacks. From is not valid for TableRepaired.
	From, To int

	// Check is the application or the type of a check of the real server. If the server has several
	// checks, Check names the check that the event is about, or else the check that decides the
	// verdict.
	Check   string
	Verdict Verdict // Verdict is the verdict on the real server.
	// Failures is the number of failures in a row. For CheckFailed, this failure counts as well.
	// For CheckPassed, it is the number before the success.
	Failures int
	Fall     int    // Fall is the number of failures in a row that make the server bad.
	By       string // By is the operator who gave the order of OrderGiven or OrderEnded.
	// Reason is the reason of the verdict or of the refused configuration, or the order. Empty means
	// none.
	Reason string
	// Lasted is how long the previous verdict lasted. It is zero if the event does not follow from
	// a verdict.
	Lasted time.Duration
}

func (d *Daemon) event(kind Kind, s *Service) Event {
	return Event{Kind: kind, Time: time.Now(), Phase: d.phase(), Service: s}
}

// about adds a configured real server, its verdict and the deciding check to an event.
func (d *Daemon) about(e Event, real Real) Event {
	e.Server = real.Addr
	if len(real.Probes) > 0 {
		e.Check = d.deciding(real).name()
	}
	e.Verdict, e.Reason = d.verdict(e.Service.ID, real), d.why(e.Service.ID, real)
	return e
}

// probed adds a configured real server and the result of one of its probes to an event.
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

// steps returns the events that lead one service from a table to the next table. The order is: the
// service, its real servers, its fallbacks.
func (d *Daemon) steps(i int, before, after lvs.VirtualService) []Event {
	service := &d.setup.Services[i]
	var have lvs.Table
	if before.ID == after.ID {
		have = lvs.Table{before}
	}
	// a server that begins with weight 0 is one event, although the kernel needs two operations
	after.Destinations = slices.Clone(after.Destinations)
	for i := range after.Destinations {
		after.Destinations[i].HashWeight = 0
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

// weightsOf returns the weights of destinations by the address of the destination.
func weightsOf(destinations []lvs.Destination) map[netip.AddrPort]int {
	weights := make(map[netip.AddrPort]int, len(destinations))
	for _, d := range destinations {
		weights[d.Addr] = d.Weight
	}
	return weights
}

// step returns the event of one operation. weights are the weights of the destinations before the
// operation.
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
	var because policy.Reason
	if configured {
		e, because = d.about(e, service.Reals[at]), d.because(i, at)
		if because.Own() && e.Verdict == Good {
			e.Reason = because.String()
		}
	}
	e.Server, e.From, e.To = op.Destination.Addr, out, out
	if weight, present := weights[e.Server]; present {
		e.From = weight
	}
	if op.Verb != lvs.DeleteDestination {
		e.To = op.Destination.Weight
	}
	e.Kind = d.kindOf(e, configured)
	if e.To == out && because.Order.Kind == policy.Remove {
		e.Kind = ServerRemoved
	}
	if e.Kind == ServerDrained && because.Cause == policy.Failed && because.Says.Down {
		e.Kind = ServerDown
	}
	return e
}

// kindOf returns the kind of an event that changes a real server or a fallback.
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

// entry identifies the subject of an operation or an event: a service, or a destination of a
// service.
type entry struct {
	service     lvs.ServiceID
	destination netip.AddrPort
}

func entryOf(op lvs.Op) entry { return entry{op.Service.ID, op.Destination.Addr} }

func (e Event) entry() entry { return entry{e.Service.ID, e.Server} }

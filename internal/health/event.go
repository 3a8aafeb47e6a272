package health

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"

	"github.com/sirupsen/logrus"

	"lvs-agents/internal/config"
	"lvs-agents/internal/lvs"
)

// Event is a change of the table that a verdict or a configuration asked for, or
// a note between such.
type Event struct {
	note    bool // nothing is changed
	Op      lvs.Op
	Service Service // without its real servers
	Phase   config.Phase
	Message string // the line of ldirectord's log
	Reason  string // of the verdict; empty for none
	// Purged is the real server that went with its service when the daemon
	// ended; zero for all other events.
	Purged netip.AddrPort
}

// steps are the changes of a service from one table to the next, in the order of
// ldirectord's log: the service, real servers, the fallback.
func (d *Daemon) steps(i int, before, after lvs.VirtualService) []Event {
	service := d.setup.Services[i]
	var have lvs.Table
	if before.ID == after.ID {
		have = lvs.Table{before}
	}
	ops := lvs.Plan(lvs.Table{after}, have, lvs.ScopeOf(lvs.Table{after}))
	fallbackLast := func(op lvs.Op) int {
		if service.Fallback != nil && op.Destination.Addr == service.Fallback.Addr {
			return 1
		}
		return 0
	}
	slices.SortStableFunc(ops, func(a, b lvs.Op) int { return fallbackLast(a) - fallbackLast(b) })
	events := make([]Event, 0, len(ops))
	bare := service
	bare.Reals = nil
	for _, op := range ops {
		e := Event{Op: op, Service: bare, Phase: d.phase()}
		at, known := d.standing[i].index[op.Destination.Addr]
		if known {
			e.Reason = d.why(service.Reals[at])
		}
		e.Message = service.message(op, known)
		events = append(events, e)
	}
	return events
}

// message is the line of ldirectord for an op on the service (its _log calls,
// version 1.186 on). known tells whether its destination is configured.
func (s Service) message(op lvs.Op, known bool) string {
	kind := "real"
	if s.Fallback != nil && op.Destination.Addr == s.Fallback.Addr {
		kind = "fallback"
	}
	if op.Verb == lvs.DeleteDestination && kind == "real" && !known {
		return fmt.Sprintf("Purged real server (start): %s (%s)", op.Destination.Addr, VirtualName(op.Service.ID))
	}
	return message(op, kind)
}

// message is the line for an op; kind is real or fallback.
func message(op lvs.Op, kind string) string {
	v, d := VirtualName(op.Service.ID), op.Destination
	switch op.Verb {
	case lvs.AddService:
		return "Added virtual server: " + v
	case lvs.EditService:
		return "Changed virtual server: " + v
	case lvs.DeleteService:
		return "Purged virtual server (start): " + v
	case lvs.DeleteDestination:
		return fmt.Sprintf("Deleted %s server: %s (%s)", kind, d.Addr, v)
	case lvs.AddDestination, lvs.EditDestination:
	}
	verb := "Restored"
	switch {
	case d.Weight == 0 && kind == "real" && op.Verb == lvs.AddDestination:
		verb = "Readd Quiescent"
	case d.Weight == 0 && kind == "real":
		verb = "Quiescent"
	case op.Verb == lvs.AddDestination:
		verb = "Added"
	}
	return fmt.Sprintf("%s %s server: %s (%s) (Weight set to %d)", verb, kind, d.Addr, v, d.Weight)
}

// log writes an event; the fields say it in our words.
func (e Event) log(log logrus.FieldLogger) {
	fields := logrus.Fields{"service": e.Op.Service.ID.String()}
	if !e.note {
		fields["op"] = e.Op.String()
	}
	if e.Op.Destination.Addr.IsValid() {
		fields["real_server"] = e.Op.Destination.Addr.String()
	}
	if e.Reason != "" {
		fields["reason"] = e.Reason
	}
	log.WithFields(fields).Info(e.Message)
}

// entry is what an op is about: a service, or a destination of one.
type entry struct {
	service     lvs.ServiceID
	destination netip.AddrPort
}

func entryOf(op lvs.Op) entry { return entry{op.Service.ID, op.Destination.Addr} }

// VirtualName is how ldirectord's log calls a service.
func VirtualName(id lvs.ServiceID) string {
	if id.IsMark() {
		return strconv.FormatUint(uint64(id.Mark), 10)
	}
	return id.Addr.String()
}

// identity is how ldirectord's log tells services apart: protocol and name.
func identity(id lvs.ServiceID) string {
	switch {
	case id.IsMark() && id.IPv6:
		return "fwm6:" + VirtualName(id)
	case id.IsMark():
		return "fwm:" + VirtualName(id)
	}
	return id.Protocol.String() + ":" + VirtualName(id)
}

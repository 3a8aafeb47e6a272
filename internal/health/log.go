package health

import (
	"fmt"
	"net/netip"
	"strconv"
	"time"

	"github.com/sirupsen/logrus"

	"lvs-agents/internal/lvs"
)

// logOps writes what was done in the words of ldirectord, which people and
// their scripts look for; the fields say it in ours.
func (r *reconciler) logOps(ops []lvs.Op, w want, took time.Duration) {
	for _, op := range ops {
		fields := logrus.Fields{"service": op.Service.ID.String(), "op": op.String()}
		if took > 0 {
			fields["took"] = took.Round(time.Microsecond).String()
		}
		if op.Destination.Addr.IsValid() {
			fields["real_server"] = op.Destination.Addr.String()
			if w.reasons != nil {
				if reason := w.reasons(op.Service.ID, op.Destination.Addr); reason != "" {
					fields["reason"] = reason
				}
			}
		}
		r.log.WithFields(fields).Info(message(op, w.fallbacks[op.Service.ID]))
	}
}

// message is the line of ldirectord for an op (its _log calls, version 1.186 on).
func message(op lvs.Op, fallback netip.AddrPort) string {
	v, d := VirtualName(op.Service.ID), op.Destination
	kind := "real"
	if d.Addr == fallback && d.Addr.IsValid() {
		kind = "fallback"
	}
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
	case d.Weight == 0:
		verb = "Quiescent"
	case op.Verb == lvs.AddDestination:
		verb = "Added"
	}
	return fmt.Sprintf("%s %s server: %s (%s) (Weight set to %d)", verb, kind, d.Addr, v, d.Weight)
}

// VirtualName is how ldirectord's log calls a service.
func VirtualName(id lvs.ServiceID) string {
	if id.IsMark() {
		return strconv.FormatUint(uint64(id.Mark), 10)
	}
	return id.Addr.String()
}

package compat

import (
	"fmt"
	"strconv"

	"github.com/sirupsen/logrus"

	"lvs-agents/internal/config"
	"lvs-agents/internal/health"
	"lvs-agents/internal/lvs"
)

// Line returns the log line of ldirectord for an event (see _log in ldirectord 1.186 and later). It
// returns an empty text for an event that ldirectord does not log.
func Line(e health.Event) string {
	if e.Service == nil {
		return ""
	}
	v := virtual(e.Service.ID)
	switch e.Kind {
	case health.ServiceAdded, health.ServiceChanged, health.ServiceRemoved:
		return serviceLine(e)
	case health.ServerUp, health.ServerDown, health.ServerDrained, health.ServerChanged, health.FallbackIn, health.FallbackOut:
		return serverLine(e)
	case health.TableRepaired:
		if e.Server.IsValid() {
			return serverLine(e)
		}
		return serviceLine(e)
	case health.ServerRemoved:
		return fmt.Sprintf("Purged real server (%s): %s (%s)", occasion(e), e.Server, v)
	case health.CheckPassed:
		return fmt.Sprintf("Resetting soft failure count: %s (%s)", e.Server, identity(e.Service.ID))
	case health.CheckFailed:
		return fmt.Sprintf("Soft failure real server: %s (%s) failure %d/%d", e.Server, identity(e.Service.ID), e.Failures, e.Fall)
	case health.QuorumDown:
		return fmt.Sprintf("Too few real servers are healthy: %s", v)
	case health.QuorumUp:
		return fmt.Sprintf("Enough real servers are healthy again: %s", v)
	case health.CapReached:
		return fmt.Sprintf("Failed real servers stay, because checks have taken out as many as max_ejection_percent allows: %s", v)
	case health.CapLeft:
		return fmt.Sprintf("No failed real server stays any more because of max_ejection_percent: %s", v)
	case health.ServerRising, health.ServerAdjusted, health.OwnFault, health.OwnFaultOver, health.ServiceTaken, health.ServiceLost, health.OrderGiven, health.OrderEnded, health.ServiceEmpty, health.ServiceServing, health.AddressHere, health.AddressGone, health.ConfigLoaded, health.ConfigRefused, health.DaemonEnded:
	}
	return ""
}

// AlertText returns the text of an alert about an event, with its reason.
func AlertText(e health.Event) string {
	text := Line(e)
	switch {
	case e.Kind == health.ConfigRefused:
		text = "The new configuration is refused, the previous configuration stays"
	case e.Kind == health.OwnFaultOver:
		text = "Own fault no longer suspected: the verdicts count again"
	case e.Kind == health.ServiceLost:
		text = "Checked but not balanced: " + virtual(e.Service.ID)
	case text == "":
		return e.Reason
	}
	if e.Reason == "" {
		return text
	}
	return text + ": " + e.Reason
}

// Reminder returns the text of a mail about a real server that stays bad.
func Reminder(e health.Event) string {
	return fmt.Sprintf("Inaccessible real server: %s (%s)", e.Server, virtual(e.Service.ID))
}

// LogEvent writes the line of an event to log. The structured fields of the entry use the terms of
// this project.
func LogEvent(log logrus.FieldLogger, e health.Event) {
	line := Line(e)
	if line == "" {
		return
	}
	fields := logrus.Fields{"service": e.Service.ID.String()}
	if e.Op.Verb != 0 {
		fields["op"] = e.Op.String()
	}
	if e.Server.IsValid() {
		fields["real_server"] = e.Server.String()
	}
	if e.Reason != "" {
		fields["reason"] = e.Reason
	}
	log.WithFields(fields).Info(line)
}

// serviceLine returns the line for a change of a virtual service.
func serviceLine(e health.Event) string {
	switch e.Op.Verb {
	case lvs.AddService:
		return "Added virtual server: " + virtual(e.Service.ID)
	case lvs.EditService:
		return "Changed virtual server: " + virtual(e.Service.ID)
	case lvs.DeleteService, lvs.AddDestination, lvs.EditDestination, lvs.DeleteDestination:
	}
	return fmt.Sprintf("Purged virtual server (%s): %s", occasion(e), virtual(e.Service.ID))
}

// serverLine returns the line for a change of a real server or a fallback.
func serverLine(e health.Event) string {
	v, kind := virtual(e.Service.ID), "real"
	if e.Service.IsFallback(e.Server) {
		kind = "fallback"
	}
	added, verb := e.Op.Verb == lvs.AddDestination, "Restored"
	switch {
	case e.Op.Verb == lvs.DeleteDestination:
		return fmt.Sprintf("Deleted %s server: %s (%s)", kind, e.Server, v)
	case e.To == 0 && kind == "real" && added:
		verb = "Readd Quiescent"
	case e.To == 0 && kind == "real":
		verb = "Quiescent"
	case added:
		verb = "Added"
	}
	return fmt.Sprintf("%s %s server: %s (%s) (Weight set to %d)", verb, kind, e.Server, v, e.To)
}

// occasion returns ldirectord's word for the occasion of a removal: start or stop.
func occasion(e health.Event) string {
	if e.Phase == config.Stopping {
		return "stop"
	}
	return "start"
}

// virtual returns the name of a virtual service in ldirectord's log.
func virtual(id lvs.ServiceID) string {
	if id.IsMark() {
		return strconv.FormatUint(uint64(id.Mark), 10)
	}
	return id.Addr.String()
}

// identity returns the name of a virtual service with its protocol.
func identity(id lvs.ServiceID) string {
	switch {
	case id.IsMark() && id.IPv6:
		return "fwm6:" + virtual(id)
	case id.IsMark():
		return "fwm:" + virtual(id)
	}
	return id.Protocol.String() + ":" + virtual(id)
}

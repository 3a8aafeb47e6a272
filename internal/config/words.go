package config

import (
	"reflect"
	"slices"
)

// fieldWords has the directives of ldirectord.cf by the fields of Config, Service, Real and Check,
// and of the structs in them. A field without a directive has a word of the manual.
var fieldWords = map[string]string{
	"AutoReload": "autoreload", "LogFile": "logfile", "Callback": "callback", "Execute": "execute", "Supervised": "supervised",
	"MaintenanceDir": "maintenancedir", "SloppyTCP": "sloppy_tcp", "SloppySCTP": "sloppy_sctp", "Timeouts": "lvs_timeouts",
	"ExpireNodestConn": "expire_nodest_conn", "ExpireQuiescentTemplate": "expire_quiescent_template", "ConnReuseMode": "conn_reuse_mode",
	"OwnFault": "own_fault", "AlertFrom": "emailalertfrom",

	"ID": "virtual", "IPv6": "virtual6", "Scheduler": "scheduler", "Flags": "schedflags or ops", "Persistence": "persistent",
	"Granularity": "netmask", "Engine": "persistence_engine", "Quiescent": "quiescent", "MarkedDown": "on_marked_down",
	"Observe": "observe", "KeepAtEnd": "cleanstop", "FallbackCommand": "fallbackcommand", "MonitorFile": "monitorfile",
	"Alert.To": "emailalert", "Alert.Repeat": "emailalertfreq", "Alert.Phases": "emailalertstatus", "Alert.Relay": "smtp",
	"Alert.Title": "servicename", "Alert.Comment": "comment",
	"Notify.Up": "notify_up", "Notify.Down": "notify_down", "Notify.QuorumUp": "quorum_up", "Notify.QuorumDown": "quorum_down", "Notify.Webhook": "webhook",
	"Policy.Initial": "init_state", "Policy.SlowStart": "slowstart", "Policy.Aggression": "slowstart_aggression", "Policy.Floor": "slowstart_minimum",
	"Policy.Quorum": "quorum", "Policy.Hysteresis": "hysteresis", "Policy.MinCount": "minimum_healthy", "Policy.MinPercent": "minimum_healthy",
	"Policy.Shortage": "shortage", "Policy.EjectPercent": "max_ejection_percent", "Policy.EjectWindow": "ejection_window",
	"Policy.EjectJitter": "ejection_jitter", "Policy.TierMin": "tier_minimum",
	"Agent.Port": "agent_port", "Agent.Addr": "agent_addr", "Agent.Send": "agent_send", "Agent.Interval": "agent_inter",

	"Host": "host name", "Last": "range of host names", "Addr": "address", "Forward": "forwarding method", "Encapsulation": "tunnel",
	"Weight": "weight", "Upper": "u:", "Lower": "l:", "HashWeight": "weight", "Tier": "tier:",

	"Check.Type": "checktype", "Check.Connects": "checktype", "Check.Application": "service", "Check.Host": "request of another host",
	"Check.Port": "checkport", "Check.Target": "checkport", "Check.Timeout": "checktimeout", "Check.NegotiateTimeout": "negotiatetimeout",
	"Check.ConnectTimeout": "checktimeout", "Check.Interval": "checkinterval", "Check.FastInterval": "fastinter", "Check.DownInterval": "downinter",
	"Check.Attempts": "checkcount", "Check.Fall": "failurecount", "Check.Rise": "rise", "Check.Verify": "verify", "Check.Status": "httpstatus",
	"Check.DisableOn": "disable_on", "Check.Method": "httpmethod", "Check.Request": "request", "Check.Receive": "receive",
	"Check.Unusable": "receive", "Check.VirtualHost": "virtualhost", "Check.Command": "checkcommand", "Check.Database": "database",
	"Check.Login": "login", "Check.Passwd": "passwd", "Check.Secret": "secret",
}

// FieldWord returns the directive of ldirectord.cf that sets a field of Config. For a field without
// a directive, it returns the name of the field.
func FieldWord(field string) string {
	if word, found := fieldWords[field]; found {
		return word
	}
	return field
}

// words returns the directives of the fields that differ between two structs.
func words(prefix string, x, y any, ignored ...string) []string {
	var all []string
	a, b := reflect.ValueOf(x), reflect.ValueOf(y)
	for i := range a.NumField() {
		field := a.Type().Field(i)
		if slices.Contains(ignored, field.Name) || reflect.DeepEqual(a.Field(i).Interface(), b.Field(i).Interface()) {
			continue
		}
		more := []string{FieldWord(prefix + field.Name)}
		switch {
		case field.Anonymous:
			more = words(prefix, a.Field(i).Interface(), b.Field(i).Interface())
		case field.Name == "Alert" || field.Name == "Notify" || field.Name == "Policy" || field.Name == "Agent":
			more = words(field.Name+".", a.Field(i).Interface(), b.Field(i).Interface())
		}
		for _, word := range more {
			if !slices.Contains(all, word) {
				all = append(all, word)
			}
		}
	}
	return all
}

// ServiceWords returns the directives that differ between two services, without the directives of
// their real servers, checks and fallbacks.
func ServiceWords(a, b Service) []string {
	if a.Quiescent && b.Quiescent { // Then on_marked_down=keep has no other meaning than its absence.
		a.MarkedDown, b.MarkedDown = "", ""
	}
	return words("", a, b, "Line", "Reals", "Checks", "Fallbacks")
}

// checkWords returns the directives that differ between two checks.
func checkWords(a, b Check) []string {
	all := words("Check.", a, b, "Unusable")
	if i := slices.Index(all, "checktimeout"); i >= 0 && a.Type == Negotiate {
		all[i] = "negotiatetimeout or checktimeout"
	}
	return all
}

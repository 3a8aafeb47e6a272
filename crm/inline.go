package crm

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"lvs-agents/internal/config"
	"lvs-agents/internal/config/fault"
	"lvs-agents/internal/config/ldirectord"
	"lvs-agents/internal/config/params"
	"lvs-agents/internal/lvs"
)

// inline returns the parameters of ipvs and health that describe a configuration. ipvs is the name
// of the ipvs resource. The parameters have one list of real servers and one check for all
// services. If the agents would read another configuration from them, inline returns an error.
func inline(cfg *config.Config, ipvs string) (tables, checks []Pair, err error) {
	if len(cfg.Services) == 0 {
		return nil, nil, fault.Errorf("", "no virtual service")
	}
	for _, s := range cfg.Services {
		if s.Host != "" || slices.ContainsFunc(s.Reals, func(r config.Real) bool { return r.Host != "" }) {
			return nil, nil, fault.Errorf("use addresses, or a file", "%s has a host name", s.Name())
		}
	}
	tables = tableParams(cfg)
	table, problems := params.Parse("parameters", services(tables))
	if err := config.Err(problems); err != nil {
		return nil, nil, err
	}
	want, have := lvs.Table{}, lvs.Table{}
	for _, s := range cfg.Services {
		want = append(want, s.VirtualService())
	}
	for _, s := range table.Services {
		have = append(have, s.VirtualService())
	}
	if want.String() != have.String() {
		return nil, nil, fault.Errorf("use a file", "the services have different real servers or settings")
	}
	given, values, err := checkParams(cfg.Services[0])
	if err != nil {
		return nil, nil, err
	}
	read, err := params.WithChecks("parameters", have, values)
	if err != nil {
		return nil, nil, err
	}
	if what := different(cfg, read); what != "" {
		return nil, nil, fault.Errorf("use a file", "they cannot have %s", what)
	}
	return tables, append([]Pair{{"ipvs", ipvs}}, given...), nil
}

// checkParams returns the parameters of health whose values differ from the defaults of the agent.
// It also returns the values that the agent reads.
func checkParams(s config.Service) (given []Pair, values params.Checks, err error) {
	defaults, err := unset("health")
	values = ldirectord.CheckValues(s)
	for _, d := range params.Directives() {
		text, usual := values[d.Name], defaults[d.Name]
		if d.Name == "quiescent" { // The parameter is a boolean of the cluster, and not yes or no.
			text = map[string]string{"yes": "true", "no": "false"}[text]
		}
		switch {
		case text == "" && usual != "":
			values[d.Name] = usual
		case text != "" && text != usual:
			given = append(given, Pair{d.Name, text})
		}
	}
	return given, values, err
}

// different returns the first part of a configuration that another configuration does not have.
func different(cfg, read *config.Config) string {
	for i, s := range cfg.Services {
		o := read.Services[i]
		if !slices.EqualFunc(s.Fallbacks, o.Fallbacks, func(a, b config.Fallback) bool { a.Line, b.Line = 0, 0; return a == b }) {
			return "the fallbacks of " + s.Name()
		}
		// The field Checks is not a setting: servers that an operator adds later get these checks.
		s.Service = o.Service // The tables are compared before.
		if words := config.ServiceWords(s, o); len(words) > 0 {
			return fmt.Sprintf("%s of %s", strings.Join(words, ", "), s.Name())
		}
		for j, r := range s.Reals {
			if words := config.RealWords(r, o.Reals[j]); len(words) > 0 {
				return fmt.Sprintf("%s of real server %s of %s", strings.Join(words, ", "), r.Addr, s.Name())
			}
		}
	}
	return ""
}

// tableParams returns the parameters of ipvs. They fit if all services are like the first one.
func tableParams(cfg *config.Config) []Pair {
	var p pairs
	var virtual []string
	first := cfg.Services[0]
	for _, s := range cfg.Services {
		virtual = append(virtual, virtualText(s.ID))
	}
	p.add("virtual", strings.Join(virtual, " "))
	var reals []string
	for _, r := range first.Reals {
		d := r.Destination
		if d.Addr.Port() == first.ID.Addr.Port() {
			d.Addr = netip.AddrPortFrom(d.Addr.Addr(), 0)
		}
		reals = append(reals, ldirectord.Real(d))
	}
	p.add("real", strings.Join(reals, ", "))
	if first.Scheduler != lvs.DefaultScheduler {
		p.add("scheduler", string(first.Scheduler))
	}
	if first.Flags&^lvs.OnePacket != first.Scheduler.Fallback() {
		p.add("schedflags", strings.Join(first.SchedulerFlags(), ","))
	}
	if first.Flags&lvs.OnePacket != 0 {
		p.add("ops", "yes")
	}
	p.number("persistent", int(first.Persistence/time.Second))
	if first.Granularity != 0 {
		p.add("netmask", lvs.Netmask(first.ID, first.Granularity))
	}
	p.add("persistence_engine", string(first.Engine))
	p.add("lvs_timeouts", timeouts(cfg.Timeouts))
	for _, c := range []struct {
		name  string
		value *bool
	}{
		{"sloppy_tcp", cfg.SloppyTCP}, {"sloppy_sctp", cfg.SloppySCTP},
		{"expire_nodest_conn", cfg.ExpireNodestConn}, {"expire_quiescent_template", cfg.ExpireQuiescentTemplate},
	} {
		if c.value != nil {
			p.add(c.name, map[bool]string{true: "yes", false: "no"}[*c.value])
		}
	}
	p.add("conn_reuse_mode", cfg.ConnReuseMode)
	return p
}

// virtualText returns a service as the parameter virtual has it. Only port 53 and protocols other
// than TCP need the protocol.
func virtualText(id lvs.ServiceID) string {
	switch {
	case id.IsMark() && id.IPv6:
		return strconv.FormatUint(uint64(id.Mark), 10) + "/fwm6"
	case id.IsMark():
		return strconv.FormatUint(uint64(id.Mark), 10)
	case id.Protocol == lvs.TCP && id.Addr.Port() != 53:
		return id.Addr.String()
	}
	return id.Addr.String() + "/" + id.Protocol.String()
}

// services returns the parameters of ipvs as the agent passes them to its parser.
func services(p []Pair) params.Services {
	persistent, _ := strconv.Atoi(value(p, "persistent"))
	return params.Services{
		Virtual: value(p, "virtual"), Real: value(p, "real"), Scheduler: lvs.Scheduler(value(p, "scheduler")),
		SchedFlags: value(p, "schedflags"), OPS: value(p, "ops"), Persistent: persistent, Netmask: value(p, "netmask"),
		Engine: value(p, "persistence_engine"), Timeouts: value(p, "lvs_timeouts"),
	}
}

func timeouts(t lvs.Timeouts) string {
	var words []string
	for i, name := range lvs.TimeoutNames() {
		if t[i] != 0 {
			words = append(words, fmt.Sprintf("%s %d", name, t[i]/time.Second))
		}
	}
	return strings.Join(words, " ")
}

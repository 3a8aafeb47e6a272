// Package params parses virtual services and checks in the parameters of a resource. The values
// have the syntax of ldirectord.cf.
package params

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"lvs-agents/internal/config"
	"lvs-agents/internal/config/fault"
	"lvs-agents/internal/config/ldirectord"
	"lvs-agents/internal/lvs"
)

// Services are the virtual services in the parameters of a resource.
type Services struct {
	// Virtual is one or several of ADDRESS:PORT, [IPV6-ADDRESS]:PORT and firewall mark, separated by
	// blanks or commas. Each can have a protocol at its end, as in 192.0.2.10:53/udp, and ranges, as
	// in 192.0.2.10->192.0.2.12:8000-8009.
	Virtual string
	// Real is the list of real servers of every virtual service, separated by commas, semicolons
	// or newlines, each as in ldirectord.cf, but without a request.
	Real      string
	Scheduler lvs.Scheduler // Scheduler is the scheduler. Empty means lvs.DefaultScheduler.
	// SchedFlags are the flags of the scheduler, with commas between them. Empty means the default.
	SchedFlags string
	OPS        string // OPS is yes or no: one-packet scheduling. Empty means no.
	Persistent int    // Persistent is the persistence in seconds. 0 means no persistence.
	// Netmask is a dotted netmask, or a prefix length for IPv6. Empty means single clients.
	Netmask string
	Engine  string // Engine is the persistence engine. Empty means none.
	// Timeouts are the kernel's timeouts of connections, as lvs.ParseTimeouts reads them. Empty
	// leaves them as they are.
	Timeouts string
	// SloppyTCP is yes or no. Empty leaves the setting of the kernel as it is.
	SloppyTCP  string
	SloppySCTP string // SloppySCTP is like SloppyTCP, but for SCTP.
	// ExpireNodestConn is yes or no. Empty leaves the setting of the kernel as it is.
	ExpireNodestConn string
	// ExpireQuiescentTemplate is yes or no. Empty means a default that depends on the services.
	ExpireQuiescentTemplate string
	// ConnReuseMode is 0, 1 or 3. Empty means a default that depends on the services.
	ConnReuseMode string
	// Protocol is the protocol of services without a protocol in Virtual: tcp, udp, sctp, fwm, fwm4 or
	// fwm6. Empty means the default of the port, or fwm for a mark. With fwm, a mark has the family of
	// the first real server.
	Protocol string
}

// Parse returns the configuration that the parameters describe. name is the source of the
// parameters, for messages. All addresses must be numeric, and no real server has a check. All
// problems are errors. With a problem, the configuration is nil.
func Parse(name string, s Services) (*config.Config, []config.Problem) {
	in := reader{Services: s, cfg: &config.Config{
		File: name, SloppyTCP: choice(s.SloppyTCP), SloppySCTP: choice(s.SloppySCTP), ConnReuseMode: s.ConnReuseMode,
		ExpireNodestConn: choice(s.ExpireNodestConn), ExpireQuiescentTemplate: choice(s.ExpireQuiescentTemplate),
	}}
	in.persistence()
	in.schedulerFlags()
	in.timeouts()
	targets := in.targets()
	reals := in.reals()
	for _, t := range targets {
		in.service(t, reals)
	}
	if len(in.problems) == 0 {
		in.validate()
	}
	if len(in.problems) > 0 {
		return nil, in.problems
	}
	return in.cfg, nil
}

// choice returns true for yes, false for no, and nil for an empty word.
func choice(word string) *bool {
	if word == "" {
		return nil
	}
	yes := word == "yes"
	return &yes
}

type reader struct {
	Services
	cfg      *config.Config
	flags    lvs.Flags
	engine   lvs.Engine
	problems []config.Problem
}

func (in *reader) fail(parameter, value string, err error) {
	f := fault.Of(err)
	in.add(fault.New(fmt.Sprintf("%s %s: %s", parameter, fault.Quote(value), f.What), f.Fix))
}

// add adds a problem unless the list already has it. Several services share most parameters, so
// one wrong parameter can give the same problem several times.
func (in *reader) add(f fault.Fault) {
	if p := in.problem(f); !slices.Contains(in.problems, p) {
		in.problems = append(in.problems, p)
	}
}

func (in *reader) problem(f fault.Fault) config.Problem {
	return config.Problem{File: in.cfg.File, Severity: config.Error, What: f.What, Fix: f.Fix}
}

// validate adds the errors of lvs.Table.Validate, which has the rules of the kernel, to the
// problems.
func (in *reader) validate() {
	var table lvs.Table
	for _, s := range in.cfg.Services {
		table = append(table, s.VirtualService())
	}
	err := table.Validate()
	if err == nil {
		return
	}
	for line := range strings.SplitSeq(err.Error(), "\n") {
		what, fix, _ := strings.Cut(line, "; ")
		in.problems = append(in.problems, in.problem(fault.New(what, fix)))
	}
}

// maxPersistence is the largest persistence in seconds.
const maxPersistence = int(lvs.MaxPersistence / time.Second)

func (in *reader) persistence() {
	switch {
	case in.Persistent < 0 || in.Persistent > maxPersistence:
		in.fail("persistent", fmt.Sprint(in.Persistent), fault.Errorf("", "not a number of seconds from 0 to %d", maxPersistence))
	case in.Persistent == 0 && in.Netmask != "":
		in.fail("netmask", in.Netmask, fault.Errorf("set persistent, or leave netmask out", "it has no effect without persistent"))
	}
	if in.Engine == "" {
		return
	}
	var err error
	if in.engine, err = lvs.ParseEngine(fault.Short(in.Engine)); err != nil {
		in.add(fault.Of(err))
	}
}

func (in *reader) timeouts() {
	if in.Timeouts == "" {
		return
	}
	var err error
	if in.cfg.Timeouts, err = lvs.ParseTimeouts(in.Timeouts); err != nil {
		in.fail("lvs_timeouts", in.Timeouts, err)
	}
}

// schedulerFlags sets the flags of the services. Without the parameter, the scheduler has its
// fallback flag.
func (in *reader) schedulerFlags() {
	in.Scheduler = cmp.Or(in.Scheduler, lvs.DefaultScheduler)
	in.flags = in.Scheduler.Fallback()
	if in.SchedFlags != "" {
		var err error
		if in.flags, err = ldirectord.ParseSchedulerFlags(in.SchedFlags); err != nil {
			in.add(fault.Of(err))
		}
	}
	if in.OPS == "yes" {
		in.flags |= lvs.OnePacket
	}
}

// target is a virtual service with its protocol, which can be empty.
type target struct {
	ldirectord.Target

	protocol string
}

// targets returns the virtual services. It expands their ranges.
func (in *reader) targets() []target {
	var all []target
	for _, text := range strings.FieldsFunc(in.Virtual, func(r rune) bool { return strings.ContainsRune(" \t\r\n,", r) }) {
		place, protocol, _ := strings.Cut(text, "/")
		t, err := ldirectord.ParseTarget(place)
		if err == nil && t.Named() {
			err = fault.Errorf("write ADDRESS:PORT", "a host name; only addresses can be used here")
		}
		if err != nil {
			in.fail("virtual", text, err)
			continue
		}
		for one := range t.Each() {
			all = append(all, target{one, cmp.Or(protocol, in.Protocol)})
		}
	}
	if len(all) == 0 && len(in.problems) == 0 {
		in.fail("virtual", in.Virtual, fault.Errorf("write ADDRESS:PORT, [IPV6-ADDRESS]:PORT or a firewall mark", "no virtual service"))
	}
	return all
}

// real is a real server. If hasPort is false, it gets the port of each service.
type real struct {
	lvs.Destination
	hasPort bool
}

// reals returns the real servers.
func (in *reader) reals() []real {
	var all []real
	total := 0
	for entry := range strings.FieldsFuncSeq(in.Real, func(r rune) bool { return strings.ContainsRune(",;\r\n", r) }) {
		if entry = strings.TrimSpace(entry); entry == "" {
			continue
		}
		expanded, err := expand(entry)
		if total += len(expanded); err == nil && total > config.MaxReals {
			expanded, err = nil, config.TooManyReals()
		}
		if err != nil {
			in.fail("real", entry, err)
		}
		all = append(all, expanded...)
	}
	return all
}

// expand returns the real servers of an entry.
func expand(entry string) ([]real, error) {
	text, err := ldirectord.ParseReal(entry)
	switch {
	case err != nil:
		return nil, err
	case text.Named():
		return nil, fault.Errorf("write the address", "a host name; only addresses can be used here")
	case !text.Bare():
		return nil, fault.Errorf("use the parameters of the resource health", "a request and a reply cannot be given here")
	case text.Tiered():
		return nil, fault.Errorf("use a configuration file", "a tier cannot be given here")
	}
	expanded, err := text.Expand(0)
	var all []real
	for _, r := range expanded {
		all = append(all, real{r.Destination, text.HasPort()})
	}
	return all, err
}

// service adds the service of a target to the configuration.
func (in *reader) service(t target, reals []real) {
	// A firewall mark has no address. With fwm, its address family is the family of its first real
	// server. Quiescent is the default of the agent health, which checks these services.
	s := config.Service{IPv6: len(reals) > 0 && reals[0].Addr.Addr().Is6(), Quiescent: true}
	if family, marked := strings.CutPrefix(t.protocol, "fwm"); marked && (family == "4" || family == "6") {
		s.IPv6, t.protocol = family == "6", "fwm"
	}
	protocol, err := t.Protocol(t.protocol)
	if err != nil {
		in.add(fault.Of(err))
		return
	}
	s.ID = t.ID(protocol, s.IPv6)
	s.IPv6 = s.ID.Is6()
	s.Scheduler, s.Flags = in.Scheduler, in.flags
	s.Persistence, s.Engine = time.Duration(in.Persistent)*time.Second, in.engine
	if in.Netmask != "" && in.Persistent != 0 {
		if s.Granularity, err = lvs.ParseNetmask(fault.Short(in.Netmask), s.IPv6); err != nil {
			in.add(fault.Of(err))
			return
		}
	}
	for _, r := range reals {
		if !r.hasPort {
			r.Addr = netip.AddrPortFrom(r.Addr.Addr(), s.ID.Addr.Port())
		}
		s.Reals = append(s.Reals, config.Real{Destination: r.Destination})
	}
	in.cfg.Services = append(in.cfg.Services, s)
}

package config

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"lvs-agents/internal/config/fault"
	"lvs-agents/internal/lvs"
)

// InlineParams are virtual services that fit into the parameters of a resource.
type InlineParams struct {
	// Virtual is one or several of ADDRESS:PORT, [IPV6-ADDRESS]:PORT and
	// firewall mark, separated by blanks or commas.
	Virtual string
	// Real is the real servers of each of them, separated by commas, semicolons
	// or newlines: ADDRESS[->ADDRESS][:PORT] gate|masq|ipip [WEIGHT].
	Real       string
	Scheduler  lvs.Scheduler // empty for lvs.DefaultScheduler
	Persistent int           // seconds, 0 for none
	Netmask    string        // dotted, or a prefix length for IPv6; empty for single clients
	Protocol   string        // tcp, udp, sctp or fwm; empty for the default of the port
}

// Inline returns the table that the parameters describe. Addresses are numeric.
// Its error joins all that is wrong; each names the parameter and the value.
func Inline(p InlineParams) (lvs.Table, error) {
	in := inline{InlineParams: p}
	in.persistence()
	targets := in.targets()
	reals := in.reals()
	var table lvs.Table
	for _, t := range targets {
		if v, ok := in.service(t, reals); ok {
			table = append(table, v)
		}
	}
	if len(in.errs) == 0 {
		if err := table.Validate(); err != nil {
			in.errs = append(in.errs, err)
		}
	}
	if len(in.errs) > 0 {
		return nil, errors.Join(in.errs...)
	}
	return table, nil
}

type inline struct {
	InlineParams
	errs []error
}

func (in *inline) fail(parameter, value string, err error) {
	in.add(fmt.Errorf("%s %s: %w", parameter, fault.Quote(value), err))
}

// add drops what was said before: several services share most parameters.
func (in *inline) add(err error) {
	said := func(e error) bool { return e.Error() == err.Error() }
	if !slices.ContainsFunc(in.errs, said) {
		in.errs = append(in.errs, err)
	}
}

func (in *inline) persistence() {
	switch {
	case in.Persistent < 0 || in.Persistent > maxSeconds:
		in.fail("persistent", fmt.Sprint(in.Persistent), fault.Errorf("", "not a number of seconds from 0 to %d", maxSeconds))
	case in.Persistent == 0 && in.Netmask != "":
		in.fail("netmask", in.Netmask, fault.Errorf("set persistent, or leave netmask out", "it has no effect without persistent"))
	}
}

func (in *inline) targets() []target {
	var all []target
	for _, text := range strings.FieldsFunc(in.Virtual, func(r rune) bool { return strings.ContainsRune(" \t\r\n,", r) }) {
		t, err := parseTarget(text)
		if err == nil && t.host.name != "" {
			err = fault.Errorf("write ADDRESS:PORT", "a host name; only addresses can be used here")
		}
		if err != nil {
			in.fail("virtual", text, err)
			continue
		}
		all = append(all, t)
	}
	if len(all) == 0 && len(in.errs) == 0 {
		in.fail("virtual", in.Virtual, fault.Errorf("write ADDRESS:PORT, [IPV6-ADDRESS]:PORT or a firewall mark", "no virtual service"))
	}
	return all
}

// reals returns the real servers with port 0 where the service's is meant.
func (in *inline) reals() []inlineReal {
	var all []inlineReal
	total := 0
	for entry := range strings.FieldsFuncSeq(in.Real, func(r rune) bool { return strings.ContainsRune(",;\r\n", r) }) {
		entry = strings.TrimSpace(entry)
		if entry == "" {
			continue
		}
		r, err := parseReal(entry)
		switch {
		case err != nil:
		case r.first.name != "" || r.last.name != "":
			err = fault.Errorf("write the address", "a host name; only addresses can be used here")
		case r.quoted || r.upper != 0 || r.lower != 0:
			err = fault.Errorf("", "only an address, a forwarding method and a weight can be given here")
		}
		var expanded []Real
		if err == nil {
			expanded, err = r.expand(0)
		}
		if total += len(expanded); err == nil && total > maxReals {
			err = tooMany()
			expanded = nil
		}
		if err != nil {
			in.fail("real", entry, err)
		}
		for _, real := range expanded {
			all = append(all, inlineReal{real.Destination, r.hasPort})
		}
	}
	return all
}

// inlineReal is a destination that may still lack its port.
type inlineReal struct {
	lvs.Destination
	hasPort bool
}

func (in *inline) service(t target, reals []inlineReal) (lvs.VirtualService, bool) {
	protocol, err := t.protocol(in.Protocol)
	if err != nil {
		in.add(err)
		return lvs.VirtualService{}, false
	}
	// A mark has no address; its family is that of its real servers.
	ipv6 := t.host.addr.Is6() || t.mark != 0 && len(reals) > 0 && reals[0].Addr.Addr().Is6()
	v := lvs.VirtualService{Service: lvs.Service{ID: t.id(protocol, ipv6), Scheduler: in.Scheduler}}
	if v.Scheduler == "" {
		v.Scheduler = lvs.DefaultScheduler
	}
	v.Persistence = time.Duration(in.Persistent) * time.Second
	if in.Netmask != "" && in.Persistent != 0 {
		if v.Granularity, err = lvs.ParseNetmask(fault.Short(in.Netmask), v.ID.Is6()); err != nil {
			in.add(err)
			return v, false
		}
	}
	for _, r := range reals {
		if !r.hasPort {
			r.Addr = netip.AddrPortFrom(r.Addr.Addr(), t.port)
		}
		v.Destinations = append(v.Destinations, r.Destination)
	}
	return v, true
}

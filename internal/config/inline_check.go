package config

import (
	"errors"
	"fmt"
	"regexp"
	"time"

	"lvs-agents/internal/lvs"
)

// CheckParams are checks that fit into the parameters of a resource: the same
// for all its services. Zero values are ldirectord's defaults.
type CheckParams struct {
	Type        CheckType
	Application Application
	Request     string
	Receive     string
	VirtualHost string
	Port        int
	Interval    int // seconds
	Timeout     int // seconds
	Fallback    string
	Quiescent   bool
}

// WithChecks is a configuration of services that a table has and of checks that
// parameters describe. source names the table's origin.
func WithChecks(source string, table lvs.Table, p CheckParams) (*Config, error) {
	c := &Config{File: source}
	for _, v := range table {
		s := Service{Service: v.Service, IPv6: v.ID.Is6(), Quiescent: p.Quiescent, Check: p.check(v.ID)}
		for _, d := range v.Destinations {
			s.Reals = append(s.Reals, Real{Destination: d})
		}
		f, err := p.fallback(v.ID)
		if err != nil {
			return nil, err
		}
		s.Fallback = f
		c.Services = append(c.Services, s)
	}
	return c, p.Validate()
}

// Validate reports what is wrong with the parameters by themselves.
func (p CheckParams) Validate() error {
	var errs []error
	if _, err := regexp.Compile(p.Receive); err != nil {
		errs = append(errs, fmt.Errorf("receive %s: %w", quote(p.Receive), err))
	}
	if p.Fallback != "" {
		if _, err := parseFallback(p.Fallback, false); err != nil {
			errs = append(errs, fmt.Errorf("fallback %s: %w", quote(p.Fallback), err))
		}
	}
	return errors.Join(errs...)
}

func (p CheckParams) check(id lvs.ServiceID) Check {
	b := block{check: Check{
		Type: p.Type, Application: p.Application, Port: uint16(p.Port), // the agent's metadata bounds it
		Request: p.Request, Receive: p.Receive, VirtualHost: p.VirtualHost,
	}}
	b.target.mark, b.target.port = id.Mark, id.Addr.Port()
	b.checkTimeout, b.interval = time.Duration(p.Timeout)*time.Second, time.Duration(p.Interval)*time.Second
	return b.checks(&settings{})
}

// fallback fits the fallback into a service, and leaves it out of services of
// the other address family.
func (p CheckParams) fallback(id lvs.ServiceID) (*Fallback, error) {
	if p.Fallback == "" {
		return nil, nil
	}
	written, err := parseFallback(p.Fallback, false)
	if err != nil {
		return nil, fmt.Errorf("fallback %s: %w", quote(p.Fallback), err)
	}
	if written.host.name == "" && written.ipv6 != id.Is6() {
		return nil, nil
	}
	f := &Fallback{Host: written.host.String(), Port: written.port, Forward: written.forward}
	if !written.hasPort || !id.IsMark() && !f.Forward.RewritesPort() {
		f.Port = id.Addr.Port()
	}
	return f, nil
}

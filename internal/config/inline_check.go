package config

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"lvs-agents/internal/config/fault"
	"lvs-agents/internal/lvs"
	"lvs-agents/internal/pattern"
)

// Checks are checks that fit into the parameters of a resource, the same for all
// its services: values of CheckDirectives by name. What is left out has
// ldirectord's default.
type Checks map[string]string

// CheckDirectives are the directives that Checks may have. Those with a secret are
// not among them: everybody who may look at a cluster sees its parameters.
func CheckDirectives() []Directive {
	var all []Directive
	for _, rows := range [][]directive{ofChecks(), ofTimes(), ofOurs(), ofServers()} {
		for _, d := range rows {
			if d.short != "" {
				all = append(all, d.public())
			}
		}
	}
	return all
}

// WithChecks is a configuration of services that a table has and of checks that
// parameters describe. source names the table's origin.
func WithChecks(source string, table lvs.Table, checks Checks) (*Config, error) {
	p, b, err := checks.read()
	if err != nil {
		return nil, err
	}
	p.config.File = source
	for _, v := range table {
		b.target.mark, b.target.port, b.ipv6 = v.ID.Mark, v.ID.Addr.Port(), v.ID.Is6()
		s := Service{Service: v.Service, IPv6: b.ipv6, Quiescent: p.global.quiescent != nil && *p.global.quiescent, Check: b.checks(&p.global)}
		if err := s.Check.withoutLogin(); err != nil {
			return nil, fmt.Errorf("virtual service %s: %w", v.ID, err)
		}
		s.Fallback = p.fallback(b, s)
		for _, d := range v.Destinations {
			s.Reals = append(s.Reals, Real{Destination: d})
		}
		p.config.Services = append(p.config.Services, s)
	}
	return p.config, nil
}

// Validate reports what is wrong with the values by themselves.
func (c Checks) Validate() error {
	p, b, err := c.read()
	if err != nil {
		return err
	}
	return b.checks(&p.global).withoutLogin()
}

// read reads the values as a file's: where a directive may stand outside of
// blocks it does.
func (c Checks) read() (*parser, *block, error) {
	p, b, known := &parser{config: &Config{}}, &block{}, directives()
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(c)) {
		d := known[name]
		if d == nil || d.short == "" {
			errs = append(errs, fmt.Errorf("%s cannot be given without a file", name))
			continue
		}
		s := scope{settings: &p.global, config: p.config, parser: p, st: statement{dir: d}}
		if d.where == inBlock {
			s.settings, s.block = &b.settings, b
		}
		if err := d.set(&s, c[name]); err != nil {
			errs = append(errs, err)
		}
	}
	if f := p.global.fallback; f != nil && f.host.name != "" {
		p.global.fallback6 = f // a name may have both
	}
	if err := pattern.Check(b.check.Receive); err != nil {
		errs = append(errs, fmt.Errorf("receive %s: %w", fault.Quote(b.check.Receive), err))
	}
	return p, b, errors.Join(errs...)
}

// withoutLogin refuses a check that never succeeds without a user.
func (c Check) withoutLogin() error {
	if c.Type != Negotiate && c.Type != Combined || !slices.Contains([]Application{"mysql", "pgsql", "oracle", "radius"}, c.Application) {
		return nil
	}
	return fault.Errorf("write it into a file with login and passwd, and use config=FILE", "service=%s needs a user and a password, which parameters cannot have", c.Application)
}

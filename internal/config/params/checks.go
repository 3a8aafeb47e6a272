package params

import (
	"errors"
	"fmt"
	"slices"

	"lvs-agents/internal/config"
	"lvs-agents/internal/config/fault"
	"lvs-agents/internal/config/ldirectord"
	"lvs-agents/internal/lvs"
	"lvs-agents/internal/pattern"
)

// Checks are the checks in the parameters of a resource, the same for all its services. They are
// values of Directives by name. A directive without a value has ldirectord's default.
type Checks map[string]string

// Directive is a directive that Checks can have.
type Directive = ldirectord.Directive

// Directives lists the directives that Checks can have.
func Directives() []Directive { return ldirectord.CheckDirectives() }

// WithChecks returns a configuration of the services of a table and the checks of parameters.
// source is the name of the table's origin.
func WithChecks(source string, table lvs.Table, checks Checks) (*config.Config, error) {
	settings, err := checks.settings()
	if err != nil {
		return nil, err
	}
	cfg := &config.Config{File: source}
	for _, v := range table {
		if err := needsLogin(settings.Check(v.ID)); err != nil {
			return nil, fmt.Errorf("virtual service %s: %w", v.ID, err)
		}
		service := settings.Service(v)
		for _, f := range service.PolicyFaults() {
			return nil, f
		}
		cfg.Services = append(cfg.Services, service)
	}
	return cfg, nil
}

// Validate returns the faults of the values that do not depend on the virtual services. It also
// returns an error for a check that needs a login, because the parameters cannot have a login.
func (c Checks) Validate() error {
	settings, err := c.settings()
	if err != nil {
		return err
	}
	for _, f := range settings.Service(lvs.VirtualService{}).PolicyFaults() {
		return f
	}
	return needsLogin(settings.Check(lvs.ServiceID{}))
}

func (c Checks) settings() (*ldirectord.Settings, error) {
	settings, err := ldirectord.NewSettings(c)
	if unusable := pattern.Check(c["receive"]); unusable != nil {
		err = errors.Join(err, fmt.Errorf("receive %s: %w", fault.Quote(c["receive"]), unusable))
	}
	return settings, err
}

// needsLogin returns an error if the check logs in to a server that accepts no check without a
// login.
func needsLogin(c config.Check) error {
	if c.Type != config.Negotiate && c.Type != config.Combined || !slices.Contains([]config.Application{"mysql", "pgsql", "oracle", "radius"}, c.Application) {
		return nil
	}
	return fault.Errorf("write it into a file with login and passwd, and use config=FILE", "service=%s needs a user and a password, which parameters cannot have", c.Application)
}

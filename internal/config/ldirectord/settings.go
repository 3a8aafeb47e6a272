package ldirectord

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"lvs-agents/internal/config"
	"lvs-agents/internal/config/fault"
	"lvs-agents/internal/lvs"
)

// Settings are values of directives without a file, for services from another source. The zero
// value has ldirectord's defaults.
type Settings struct {
	file  settings // file has the values of directives that a file can have for all services.
	block block    // block has the values of the other directives.
}

// NewSettings reads the values of CheckDirectives by their names. Its error joins all mistakes.
func NewSettings(values map[string]string) (*Settings, error) {
	var s Settings
	var errs []error
	known := directives()
	for _, name := range slices.Sorted(maps.Keys(values)) {
		d := known[name]
		if d == nil || d.short == "" {
			errs = append(errs, fmt.Errorf("%s cannot be given without a file", name))
			continue
		}
		if err := s.set(d, values[name]); err != nil {
			errs = append(errs, err)
		}
	}
	if f := s.file.fallback; f != nil && f.host.name != "" {
		s.file.fallback6 = f // The name of a fallback can have IPv4 and IPv6 addresses.
	}
	return &s, errors.Join(errs...)
}

func (s *Settings) set(d *directive, value string) error {
	in := scope{settings: &s.file, config: &config.Config{}, st: statement{dir: d}, report: func(fault.Fault) {}}
	if d.where == inBlock {
		in.settings, in.block = &s.block.settings, &s.block
	}
	return d.set(&in, value)
}

// Check returns the check of the real servers of a service.
func (s *Settings) Check(id lvs.ServiceID) config.Check {
	return withoutLogin(s.block.checkOver(&s.file, s.block.check, id))
}

// Service returns a service of a table with the check, the fallback and the handling of failed
// real servers as the settings say.
func (s *Settings) Service(v lvs.VirtualService) config.Service {
	service := config.Service{Service: v.Service, IPv6: v.ID.Is6()}
	service.MarkedDown, service.Quiescent = s.block.markedDownOver(&s.file)
	service.Observe = s.block.observeOver(&s.file)
	service.Policy, service.Agent = s.block.policyOver(&s.file), s.block.agentOver(&s.file)
	service.Fallbacks, _ = s.block.fallbackOver(&s.file, service)
	checks := []config.Check{s.Check(v.ID)}
	service.Checks = checks
	for _, d := range v.Destinations {
		service.Reals = append(service.Reals, config.Real{Destination: d, Checks: checks})
	}
	return service
}

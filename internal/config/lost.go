package config

import (
	"fmt"
	"reflect"
	"slices"
)

// Lost returns a problem for each part of a configuration, except Cluster, that differs from its
// written form. format is the name of the form, and again is what its parser reads.
func Lost(cfg, again *Config, format string) []Problem {
	var problems []Problem
	add := func(line int, what string) {
		problems = append(problems, Problem{File: cfg.File, Line: line, Severity: Dropped, What: format + " cannot have " + what})
	}
	for _, field := range Differing(*cfg, *again, "File", "Services", "Cluster", "Parts") {
		add(0, field)
		problems[len(problems)-1].File = cfg.FileOf(field)
	}
	if len(cfg.Services) != len(again.Services) {
		add(0, "these virtual services")
		return problems
	}
	for i, s := range cfg.Services {
		for _, field := range Differing(s, again.Services[i], "Line", "Reals", "Checks", "Fallbacks") {
			add(s.Line, fmt.Sprintf("%s of %s", field, s.Name()))
		}
		if !slices.EqualFunc(s.Fallbacks, again.Services[i].Fallbacks, func(a, b Fallback) bool { return len(Differing(a, b, "Line")) == 0 }) {
			add(s.Line, fmt.Sprintf("the fallbacks of %s: only one is possible", s.Name()))
		}
		for _, what := range lostReals(s, again.Services[i]) {
			add(s.Line, what)
		}
	}
	return problems
}

// lostReals describes the differences of real servers, once for all servers with the same one.
func lostReals(s, again Service) []string {
	if len(s.Reals) != len(again.Reals) {
		return []string{"the real servers of " + s.Name()}
	}
	var all []string
	for i, r := range s.Reals {
		fields := Differing(r, again.Reals[i], "Line", "Checks")
		for _, field := range append(fields, lostChecks(running(r.Checks), running(again.Reals[i].Checks))...) {
			if what := fmt.Sprintf("%s of the real servers of %s", field, s.Name()); !slices.Contains(all, what) {
				all = append(all, what)
			}
		}
	}
	return all
}

// running returns the checks that run. A server without a check always counts as up, like a server
// with the check On.
func running(checks []Check) []Check {
	return slices.DeleteFunc(slices.Clone(checks), func(c Check) bool { return c.Type == On })
}

func lostChecks(checks, again []Check) []string {
	switch {
	case len(checks) > 1 && len(again) == 1:
		return []string{fmt.Sprintf("%d checks of one server: only the first is possible", len(checks))}
	case len(checks) != len(again):
		return []string{"the checks"}
	}
	var fields []string
	for i, c := range checks {
		o := again[i]
		c.Status, o.Status = c.Status.Explicit(), o.Status.Explicit()
		fields = append(fields, Differing(c, o, "Unusable")...)
	}
	return fields
}

// Differing returns the names of the fields of two structs that have different values.
func Differing[T any](a, b T, ignored ...string) []string {
	var names []string
	x, y := reflect.ValueOf(a), reflect.ValueOf(b)
	for i := range x.NumField() {
		name := x.Type().Field(i).Name
		if !slices.Contains(ignored, name) && !reflect.DeepEqual(x.Field(i).Interface(), y.Field(i).Interface()) {
			names = append(names, name)
		}
	}
	return names
}

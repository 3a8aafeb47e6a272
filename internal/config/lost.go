package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// Lost returns a problem for each part of a configuration, except Cluster, that differs from its
// written form. format is the name of the form, and again is what its parser reads. A problem names
// the directives of ldirectord.cf that have no place in the form.
func Lost(cfg, again *Config, format string) []Problem {
	var problems []Problem
	add := func(line int, what, fix string) {
		problems = append(problems, Problem{File: cfg.File, Line: line, Severity: Dropped, What: format + " cannot have " + what, Fix: fix})
	}
	for _, field := range Differing(*cfg, *again, "File", "Services", "Cluster", "Parts") {
		add(0, FieldWord(field), "")
		problems[len(problems)-1].File = cfg.FileOf(field)
	}
	if len(cfg.Services) != len(again.Services) {
		add(0, "these virtual services", "")
		return problems
	}
	for i, s := range cfg.Services {
		if words := ServiceWords(s, again.Services[i]); len(words) > 0 {
			add(s.Line, fmt.Sprintf("%s of %s", strings.Join(words, ", "), s.Name()), nearest(words))
		}
		if !slices.EqualFunc(s.Fallbacks, again.Services[i].Fallbacks, func(a, b Fallback) bool { return len(Differing(a, b, "Line")) == 0 }) {
			what := fmt.Sprintf("the fallbacks of %s: only one is possible", s.Name())
			if len(again.Services[i].Fallbacks) == 0 {
				what = fmt.Sprintf("%s of %s", fallbackWord(s), s.Name())
			}
			add(s.Line, what, "")
		}
		for _, what := range lostReals(s, again.Services[i]) {
			add(s.Line, what, "")
		}
	}
	return problems
}

func fallbackWord(s Service) string {
	if s.IPv6 {
		return "fallback6"
	}
	return "fallback"
}

// nearest returns the nearest replacement of lost directives.
func nearest(words []string) string {
	if slices.Contains(words, "on_marked_down") {
		return "set the sysctl net.ipv4.vs.expire_nodest_conn=1, so that the kernel ends the connections of a removed real server at their next packet"
	}
	return ""
}

// lostReals describes the differences of real servers, once for all servers with the same one.
func lostReals(s, again Service) []string {
	if len(s.Reals) != len(again.Reals) {
		return []string{"the real servers of " + s.Name()}
	}
	var all []string
	for i, r := range s.Reals {
		for _, word := range RealWords(r, again.Reals[i]) {
			if !slices.Contains(all, word) {
				all = append(all, word)
			}
		}
	}
	if len(all) == 0 {
		return nil
	}
	return []string{fmt.Sprintf("%s of the real servers of %s", strings.Join(all, ", "), s.Name())}
}

// RealWords returns the directives that differ between two real servers, with their checks.
func RealWords(a, b Real) []string {
	return append(words("", a, b, "Line", "Checks"), lostChecks(running(a.Checks), running(b.Checks))...)
}

// running returns the checks that run. A server without a check always counts as up, like a server
// with the check On.
func running(checks []Check) []Check {
	return slices.DeleteFunc(slices.Clone(checks), func(c Check) bool { return c.Type == On })
}

func lostChecks(checks, again []Check) []string {
	switch {
	case len(checks) > 1 && len(again) == 1:
		return []string{fmt.Sprintf("more than the first of %d checks", len(checks))}
	case len(checks) == 0:
		return []string{"checktype=on"}[:min(1, len(again))]
	case len(checks) != len(again):
		return []string{"checktype=" + string(checks[0].Type)}
	}
	var fields []string
	for i, c := range checks {
		o := again[i]
		if c == o {
			continue
		}
		c.Status, o.Status = c.Status.Explicit(), o.Status.Explicit()
		fields = append(fields, checkWords(c, o)...)
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

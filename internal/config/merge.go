package config

import (
	"cmp"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
)

// Merge returns one configuration for several files of one setup. If two files differ in a setting,
// a service or the synchronisation, the first file counts, and there is a warning. The lists of
// directors, groups, marks, conditions and notices are joined without a warning. The method Place
// gives the problems of the result their files.
func Merge(configs ...*Config) (*Config, []Problem) {
	merged := *configs[0]
	if len(configs) > 1 {
		merged.Parts = &Parts{Files: []string{merged.File}, Settings: map[string]string{}}
	}
	var problems []Problem
	for i, c := range configs[1:] {
		merged.Parts.Files = append(merged.Parts.Files, c.File)
		m := merging{&merged, WithLines(c, func(line int) int { return line + (i+1)*linesOfFile }), nil}
		m.settings()
		m.services()
		m.cluster()
		problems = append(problems, m.problems...)
	}
	return &merged, merged.Place(append(problems, merged.addresses()...))
}

// merging adds a configuration to another one.
type merging struct {
	into, from *Config
	problems   []Problem
}

// differs reports a setting or a service that the file in has, too.
func (m *merging) differs(line int, what, in string) {
	m.problems = append(m.problems, Problem{
		File: m.from.File, Line: line, Severity: Warning,
		What: fmt.Sprintf("%s is in %s too, with other settings, which count", what, in), Fix: "delete one of them",
	})
}

// settings copies each field that is not set.
func (m *merging) settings() {
	into, from := reflect.ValueOf(m.into).Elem(), reflect.ValueOf(m.from).Elem()
	for i := range into.NumField() {
		name := into.Type().Field(i).Name
		if slices.Contains([]string{"File", "Services", "Cluster", "Parts"}, name) || from.Field(i).IsZero() {
			continue
		}
		if into.Field(i).IsZero() {
			into.Field(i).Set(from.Field(i))
			m.into.Parts.Settings[name] = m.from.File
		} else if !reflect.DeepEqual(into.Field(i).Interface(), from.Field(i).Interface()) {
			m.differs(0, FieldWord(name), m.into.FileOf(name))
		}
	}
}

func (m *merging) services() {
	services := slices.Clone(m.into.Services)
	for _, s := range m.from.Services {
		i := slices.IndexFunc(services, func(o Service) bool { return o.ID == s.ID && o.Host == s.Host })
		switch {
		case i < 0:
			services = append(services, s)
		case !reflect.DeepEqual(withoutLines(services[i]), withoutLines(s)):
			in, _ := m.into.origin(services[i].Line)
			m.differs(s.Line, s.Name(), in)
		}
	}
	m.into.Services = services
}

func withoutLines(s Service) Service {
	s.Line = 0
	s.Reals, s.Fallbacks = slices.Clone(s.Reals), slices.Clone(s.Fallbacks)
	for i := range s.Reals {
		s.Reals[i].Line = 0
	}
	for i := range s.Fallbacks {
		s.Fallbacks[i].Line = 0
	}
	return s
}

func (m *merging) cluster() {
	if m.from.Cluster == nil {
		return
	}
	if m.into.Cluster == nil {
		m.into.Cluster = m.from.Cluster
		return
	}
	cluster, from := *m.into.Cluster, m.from.Cluster
	cluster.Nodes = union(cluster.Nodes, from.Nodes, func(a, b Node) bool { return a.Name == b.Name })
	cluster.Groups = joinGroups(cluster.Groups, from.Groups)
	cluster.Addresses = append(slices.Clone(cluster.Addresses), from.Addresses...)
	cluster.Stays = cluster.Stays || from.Stays
	cluster.Marks = union(cluster.Marks, from.Marks, func(a, b Mark) bool { a.Line = b.Line; return reflect.DeepEqual(a, b) })
	cluster.NodeChecks = union(cluster.NodeChecks, from.NodeChecks, func(a, b NodeCheck) bool { a.Line = b.Line; return reflect.DeepEqual(a, b) })
	cluster.Files = append(slices.Clone(cluster.Files), from.Files...)
	cluster.Notices = union(cluster.Notices, from.Notices, func(a, b Notice) bool { a.Line = b.Line; return reflect.DeepEqual(a, b) })
	cluster.Messages = joined(cluster.Messages, from.Messages)
	switch {
	case cluster.Sync == nil:
		cluster.Sync = from.Sync
	case from.Sync != nil && cluster.Sync.SyncDaemon != from.Sync.SyncDaemon:
		in, _ := m.into.origin(cluster.Sync.Line)
		m.differs(from.Sync.Line, "the synchronisation of connections", in)
	}
	m.into.Cluster = &cluster
}

// addresses makes a group of the addresses of a host that services use.
func (c *Config) addresses() []Problem {
	if c.Cluster == nil || len(c.Cluster.Addresses) == 0 {
		return nil
	}
	var g Group
	var problems []Problem
	for _, a := range c.Cluster.Addresses {
		used := c.uses(a.IP)
		report := func(severity Severity, what, fix string) {
			what = fmt.Sprintf("%s on %s: %s", a.IP, cmp.Or(a.NIC, "an interface"), what)
			problems = append(problems, Problem{File: a.File, Line: a.Line, Severity: severity, What: what, Fix: fix})
		}
		switch {
		case a.Own && used:
			report(Warning, "a service uses the first address of the interface, which cannot move to another director", "give the service another address")
		case a.Own:
		case a.NIC == "lo":
			report(Ignored, "it belongs to a real server", "")
		case !used:
			report(Ignored, "no service uses it", "")
		case !slices.ContainsFunc(g.Addresses, func(b VirtualAddress) bool { return b.IP == a.IP }):
			g.Addresses = append(g.Addresses, a.VirtualAddress)
		}
	}
	cluster := *c.Cluster
	if len(g.Addresses) > 0 {
		g.Line = g.Addresses[0].Line
		cluster.Groups = joinGroups(cluster.Groups, []Group{g})
	}
	cluster.Addresses = nil
	c.Cluster = &cluster
	return problems
}

// uses reports whether a service has an address, or the packets to it get a mark. Without services
// and marks, every address counts.
func (c *Config) uses(ip netip.Addr) bool {
	return len(c.Services) == 0 && len(c.Cluster.Marks) == 0 ||
		slices.ContainsFunc(c.Services, func(s Service) bool { return s.ID.Addr.Addr() == ip }) ||
		slices.ContainsFunc(c.Cluster.Marks, func(m Mark) bool {
			return slices.ContainsFunc(m.IP, func(network netip.Prefix) bool { return network.Contains(ip) })
		})
}

// joined returns the settings of two files. If both files have a setting, the first file counts.
func joined(into, from *Messages) *Messages {
	if into == nil || from == nil {
		return cmp.Or(into, from)
	}
	return &Messages{
		DeadTime:  cmp.Or(into.DeadTime, from.DeadTime),
		Addresses: union(into.Addresses, from.Addresses, func(a, b netip.Addr) bool { return a == b }),
		Signed:    into.Signed || from.Signed,
		Facility:  cmp.Or(into.Facility, from.Facility),
		LogFile:   cmp.Or(into.LogFile, from.LogFile),
		Line:      cmp.Or(into.Line, from.Line),
	}
}

// joinGroups joins groups with the same name, or with an address of each other.
func joinGroups(into, from []Group) []Group {
	into = slices.Clone(into)
	for _, g := range from {
		i := slices.IndexFunc(into, func(o Group) bool {
			return o.Name == g.Name && g.Name != "" ||
				slices.ContainsFunc(o.Addresses, func(a VirtualAddress) bool { return slices.ContainsFunc(g.Addresses, sameIP(a)) })
		})
		if i < 0 {
			into = append(into, g)
			continue
		}
		into[i].Addresses = union(into[i].Addresses, g.Addresses, func(a, b VirtualAddress) bool { return a.IP == b.IP })
		into[i].Preferences = union(into[i].Preferences, g.Preferences, func(a, b Preference) bool { return a.Node == b.Node })
		into[i].Stays = into[i].Stays || g.Stays
		into[i].Stopped = into[i].Stopped || g.Stopped
	}
	return into
}

func sameIP(a VirtualAddress) func(VirtualAddress) bool {
	return func(b VirtualAddress) bool { return a.IP == b.IP }
}

// union returns the first list and the items of the second list that are not in the first one.
func union[T any](into, from []T, same func(a, b T) bool) []T {
	into = slices.Clone(into)
	for _, item := range from {
		if !slices.ContainsFunc(into, func(o T) bool { return same(o, item) }) {
			into = append(into, item)
		}
	}
	return into
}

package top

import (
	"cmp"
	"slices"
	"strings"
)

// key identifies a line of the list. Server is empty for a service.
type key struct {
	daemon, service, server string
	fallback                bool
}

// line is a line of the list: a service, or a real server if server is not nil.
type line struct {
	service *Service
	server  *Server
}

func (l line) key() key {
	if l.server == nil {
		return key{daemon: l.service.Daemon, service: l.service.ID}
	}
	return key{l.service.Daemon, l.service.ID, l.server.Addr, l.server.Verdict == fallback}
}

func (l line) reason() string {
	if l.server == nil {
		return l.service.Reason
	}
	return l.server.Reason
}

// fallback is the verdict of a fallback.
const fallback = "fallback"

// order is a column that sorts the list. The highest values of rank come first.
type order struct {
	name string
	rank func(Server) float64 // rank is nil for the order of the configuration.
}

func orders() []order {
	counted := func(value func(Server) uint32) func(Server) float64 {
		return func(s Server) float64 {
			if s.Traffic == nil {
				return -1
			}
			return float64(value(s))
		}
	}
	return []order{
		{name: "server"},
		{"weight", func(s Server) float64 { return float64(s.Weight) }},
		{"verdict", func(s Server) float64 { return map[string]float64{"bad": 2, "unknown": 1, "good": -1}[s.Verdict] }},
		{"since", func(s Server) float64 {
			if !s.Aged {
				return -1e18
			}
			return -s.Age.Seconds() // The latest change comes first.
		}},
		{"active", counted(func(s Server) uint32 { return s.Traffic.Active })},
		{"inact", counted(func(s Server) uint32 { return s.Traffic.Inactive })},
		{"conn/s", counted(func(s Server) uint32 { return s.Traffic.ConnRate })},
		{"in/s", counted(func(s Server) uint32 { return s.Traffic.InRate })},
		{"out/s", counted(func(s Server) uint32 { return s.Traffic.OutRate })},
	}
}

// group is a service with its visible real servers.
type group struct {
	service *Service
	servers []*Server
}

// list returns the lines that a filter passes, in an order. The real servers of a service stay
// together. The service with the first real server of all is first.
func list(services []Service, filter string, by order, reverse bool) []line {
	var groups []group
	for i := range services {
		if g := filtered(&services[i], strings.ToLower(filter)); g.service != nil {
			groups = append(groups, g)
		}
	}
	arrange(groups, by.rank, reverse)
	var lines []line
	for _, g := range groups {
		lines = append(lines, line{service: g.service})
		for _, s := range g.servers {
			lines = append(lines, line{g.service, s})
		}
	}
	return lines
}

// filtered returns the real servers that contain a text, or all if the title of the service
// contains it. Without any of them, the group has no service.
func filtered(s *Service, text string) (g group) {
	contains := func(fields ...string) bool {
		return slices.ContainsFunc(fields, func(f string) bool { return strings.Contains(strings.ToLower(f), text) })
	}
	whole := contains(s.Title, s.Reason, s.Daemon)
	for i := range s.Servers {
		if server := &s.Servers[i]; whole || contains(server.Addr, server.Verdict, server.Reason) {
			g.servers = append(g.servers, server)
		}
	}
	if whole || len(g.servers) > 0 {
		g.service = s
	}
	return g
}

// arrange sorts the groups and the real servers in them. A rank of nil is the present order.
func arrange(groups []group, rank func(Server) float64, reverse bool) {
	if rank == nil {
		if reverse {
			slices.Reverse(groups)
			for _, g := range groups {
				slices.Reverse(g.servers)
			}
		}
		return
	}
	byRank := func(a, b *Server) int {
		if reverse {
			a, b = b, a
		}
		return cmp.Compare(rank(*b), rank(*a))
	}
	for _, g := range groups {
		slices.SortStableFunc(g.servers, byRank)
	}
	slices.SortStableFunc(groups, func(a, b group) int {
		if len(a.servers) == 0 || len(b.servers) == 0 {
			return cmp.Compare(len(b.servers), len(a.servers))
		}
		return byRank(a.servers[0], b.servers[0])
	})
}

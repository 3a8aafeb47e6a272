package config

import (
	"cmp"
	"slices"

	"lvs-agents/internal/lvs"
)

// Sysctl is a setting of the kernel below net/ipv4/vs. It is for all services of the network
// namespace.
type Sysctl struct{ Name, Value string }

// Sysctls returns the settings that the configuration gives. A service with expire or reset gives
// expire_nodest_conn. The list defaults has settings that the configuration does not give, but that
// are better for its services than the defaults of the kernel.
func (c *Config) Sysctls() (given, defaults []Sysctl) {
	ends := func(s Service) bool { return s.MarkedDown.Ends() }
	for _, s := range []struct {
		name, value string
		usual       string // usual is empty if the setting of the kernel stays.
	}{
		{"sloppy_tcp", digit(c.SloppyTCP), ""},
		{"sloppy_sctp", digit(c.SloppySCTP), ""},
		{"expire_nodest_conn", cmp.Or(digit(c.ExpireNodestConn), when(slices.ContainsFunc(c.Services, ends), "1")), when(c.loses(), "1")},
		{"expire_quiescent_template", digit(c.ExpireQuiescentTemplate), when(slices.ContainsFunc(c.Services, Service.feedsBad), "1")},
		{"conn_reuse_mode", c.ConnReuseMode, when(slices.ContainsFunc(c.Services, Service.reusesBad), "3")},
	} {
		switch {
		case s.value != "":
			given = append(given, Sysctl{s.name, s.value})
		case s.usual != "":
			defaults = append(defaults, Sysctl{s.name, s.usual})
		}
	}
	return given, defaults
}

func digit(on *bool) string {
	switch {
	case on == nil:
		return ""
	case *on:
		return "1"
	}
	return "0"
}

func when(needed bool, value string) string {
	if needed {
		return value
	}
	return ""
}

// loses reports whether the daemon removes real servers that are down, or a fallback, and the
// kernel must end their connections. It is false if FallsBack reports true for a service: to repair
// the order of the hash table, the daemon removes good real servers and adds them again, and their
// connections must continue.
func (c *Config) loses() bool {
	removes := func(s Service) bool { return !s.Quiescent || len(s.Fallbacks) > 0 }
	return slices.ContainsFunc(c.Services, removes) && !slices.ContainsFunc(c.Services, Service.FallsBack)
}

// keepsBad reports whether a real server that is down stays in the kernel with weight 0. It does
// not take into account that the hash table of sh has only 256 slots.
func (s Service) keepsBad() bool { return s.Quiescent || s.FallsBack() }

// feedsBad reports whether the persistence of a client can lead to a real server that is down.
func (s Service) feedsBad() bool { return s.keepsBad() && s.Persistence > 0 }

// reusesBad reports whether an ended connection can lead a client to a real server that is down:
// the client connects again from the same port. With masquerading, the kernel sees both ends of a
// connection, and its own default already prevents this.
func (s Service) reusesBad() bool {
	unseen := func(r Real) bool { return r.Forward != lvs.Masq }
	return s.keepsBad() && s.Persistence == 0 && (s.ID.IsMark() || s.ID.Protocol == lvs.TCP) && slices.ContainsFunc(s.Reals, unseen)
}

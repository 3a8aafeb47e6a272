package policy

// Reading has the open connections of a destination, as the kernel counts them. Since Linux 4.8, a
// TCP connection is active from its first packet on, also before the server has replied
// (tcp_state_active_table in net/netfilter/ipvs/ip_vs_proto_tcp.c). It becomes inactive when one
// side ends it.
type Reading struct{ Active, Inactive uint32 }

// Silence is the number of readings since the last sign that a server still replies. Readings
// without a change do not count.
type Silence int

// silent is the Silence that is a hint.
const silent Silence = 2

// Add returns the silence after another reading, and whether the server must be checked now. A
// server that drops packets has ever more active connections, and none of them ends. A server that
// refuses them has ever more inactive connections and no active one. A good server can show the
// same, so a hint is only a reason for a check.
func (s Silence) Add(before, now Reading) (next Silence, hint bool) {
	dropped := now.Active > before.Active && now.Inactive <= before.Inactive
	refused := before.Active == 0 && now.Active == 0 && now.Inactive > before.Inactive
	switch {
	case dropped, refused:
		s++
	case now.Active < before.Active, now.Inactive > before.Inactive:
		s = 0
	}
	if s >= silent {
		return 0, true
	}
	return s, false
}

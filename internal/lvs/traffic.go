package lvs

import "net/netip"

// Traffic has the number of packets between a virtual service and one of its real servers. The
// kernel counts up to 2^32.
type Traffic struct {
	Service ServiceID
	Server  netip.AddrPort
	In, Out uint32 // In is the number of packets to the real server, Out the number of its replies.
}

// Of reports whether both values are about the same service and real server.
func (t Traffic) Of(other Traffic) bool {
	return t.Service == other.Service && t.Server == other.Server
}

// Counters are the connections of one real server of a virtual service, as the kernel counts them.
type Counters struct {
	Service ServiceID
	Server  netip.AddrPort
	// Active is the number of established connections, and Inactive the number of other ones.
	Active, Inactive uint32
	// ConnRate is the number of new connections per second. InRate and OutRate are the bytes per
	// second from and to clients. The kernel estimates these rates every 2 s.
	ConnRate, InRate, OutRate uint32
}

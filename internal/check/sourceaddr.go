package check

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"syscall"
)

// Sources chooses source addresses of this host that are not VIPs. With direct routing, a real
// server also has the VIP. If a check came from the VIP, the real server would send the reply to
// itself. Then the check would fail.
type Sources struct {
	mu      sync.Mutex
	virtual map[netip.Addr]bool
	known   map[netip.Addr]netip.Addr
	local   func() []Local
	route   func(netip.Addr) netip.Addr
}

// Local is an address of this host, with the length of its network prefix, and its interface.
type Local struct {
	NIC    string
	Prefix netip.Prefix
}

var _ Sourcer = (*Sources)(nil)

// NewSources returns a Sources that reads routes and addresses from the kernel when a check needs
// them.
func NewSources() *Sources {
	return &Sources{known: map[netip.Addr]netip.Addr{}, local: localAddresses, route: routed}
}

// Avoid sets the VIPs, and drops all remembered source addresses.
func (s *Sources) Avoid(virtual []netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.virtual = map[netip.Addr]bool{}
	for _, addr := range virtual {
		s.virtual[addr] = true
	}
	clear(s.known)
}

// Source returns the source address for checks of a target, and remembers the address. The address
// is never a VIP. It is the zero Addr if this host has no route to the target, or no other suitable
// address.
func (s *Sources) Source(target netip.Addr) netip.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	source, ok := s.known[target]
	if !ok {
		if source = s.chooseLocked(target); source.IsValid() {
			s.known[target] = source
		}
	}
	return source
}

// Forget drops the source address that Source remembers for a target. A check calls Forget if it
// could not reach the target, because routes and addresses can have changed.
func (s *Sources) Forget(target netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.known, target)
}

// chooseLocked returns the source address that the kernel chooses, unless this is a VIP. Instead of
// a VIP, it prefers an address in the network of the target, then an address on the same interface.
// Every candidate has the family and the scope of the target.
func (s *Sources) chooseLocked(target netip.Addr) netip.Addr {
	natural := s.route(target)
	if natural.IsValid() && !s.virtual[natural] || !natural.IsValid() {
		return natural
	}
	all := s.local()
	nic := ""
	for _, l := range all {
		if l.Prefix.Addr() == natural {
			nic = l.NIC
		}
	}
	var best netip.Addr
	score := 0
	for _, l := range all {
		addr := l.Prefix.Addr()
		if s.virtual[addr] || addr.Is6() != target.Is6() || addr.IsLoopback() || addr.IsLinkLocalUnicast() != target.IsLinkLocalUnicast() {
			continue
		}
		points := 1
		if l.NIC == nic {
			points += 2
		}
		if l.Prefix.Masked().Contains(target) {
			points += 4
		}
		if points > score {
			best, score = addr, points
		}
	}
	return best
}

// from calls open with the source address for a target. If this host has lost that address in the
// meantime, from calls open again with another source address.
func from(s Sourcer, target netip.Addr, open func(source netip.Addr) error) error {
	source := s.Source(target)
	another, again, err := instead(s, target, source, open(source))
	if again {
		return open(another)
	}
	return err
}

// instead reports whether the caller must repeat an attempt from another source address. This is so
// if this host has lost the source address. If this host still has the address, all its ports for
// the target are in use. Then the reason blames this host, not the target.
func instead(s Sourcer, target, source netip.Addr, err error) (another netip.Addr, again bool, reason error) {
	if !source.IsValid() || !errors.Is(err, syscall.EADDRNOTAVAIL) {
		return source, false, err
	}
	s.Forget(target)
	if another = s.Source(target); another == source {
		return source, false, syscall.EADDRINUSE
	}
	return another, true, err
}

// routed returns the source address that the kernel chooses for a target, or the zero Addr if the
// kernel has no route. It connects a UDP socket, which sends no packet.
func routed(target netip.Addr) netip.Addr {
	const discard = 9
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(target, discard)))
	if err != nil {
		return netip.Addr{}
	}
	defer func() { _ = conn.Close() }()
	local, ok := conn.LocalAddr().(*net.UDPAddr)
	if !ok {
		return netip.Addr{}
	}
	return local.AddrPort().Addr().Unmap()
}

func localAddresses() []Local {
	nics, err := net.Interfaces()
	if err != nil {
		return nil
	}
	var all []Local
	for _, nic := range nics {
		addrs, err := nic.Addrs()
		if err != nil {
			continue
		}
		for _, addr := range addrs {
			if prefix, err := netip.ParsePrefix(addr.String()); err == nil {
				all = append(all, Local{NIC: nic.Name, Prefix: prefix})
			}
		}
	}
	return all
}

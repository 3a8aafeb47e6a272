package lvs

import (
	"fmt"
	"net/netip"
	"strings"
)

// Address is an IP address on a network interface.
type Address struct {
	Prefix    netip.Prefix // the address itself with its prefix length, not masked
	NIC       string
	Label     string     // IPv4 label, empty for none
	Broadcast netip.Addr // IPv4 broadcast address, the zero Addr for none
	// Deprecated addresses are not chosen as a source (preferred lifetime 0).
	Deprecated bool
	// Observed is what the kernel reports and nobody asks for.
	Observed Observed
}

// Observed is the state of an address that only the kernel sets.
type Observed struct {
	Tentative bool // duplicate address detection is not over (RFC 4862)
	Duplicate bool // duplicate address detection found another owner
	Silent    bool // the interface has no neighbours: loopback, tunnel, dummy
	Down      bool // the interface is administratively down
}

// AddressVerb is what an AddressOp does.
type AddressVerb uint8

// The verbs.
const (
	AddAddress AddressVerb = iota + 1
	DeleteAddress
)

// AddressOp is one change of the addresses of a host.
type AddressOp struct {
	Verb    AddressVerb
	Address Address
}

// String returns the ip command that does the same.
func (op AddressOp) String() string {
	var b strings.Builder
	a := op.Address
	switch op.Verb {
	case AddAddress:
		fmt.Fprintf(&b, "ip addr add %s", a.Prefix)
		if a.Broadcast.IsValid() {
			fmt.Fprintf(&b, " brd %s", a.Broadcast)
		}
	case DeleteAddress:
		fmt.Fprintf(&b, "ip addr del %s", a.Prefix)
	default:
		fmt.Fprintf(&b, "address verb %d %s", op.Verb, a.Prefix)
	}
	fmt.Fprintf(&b, " dev %s", a.NIC)
	if op.Verb == AddAddress {
		if a.Label != "" {
			fmt.Fprintf(&b, " label %s", a.Label)
		}
		if a.Deprecated {
			b.WriteString(" preferred_lft 0")
		}
	}
	return b.String()
}

// Network is a network that an interface is directly connected to.
type Network struct {
	NIC       string
	Bits      int        // prefix length
	Broadcast netip.Addr // of the interface's own address there; zero for none
}

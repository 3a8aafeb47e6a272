package host

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Address is an IP address on a network interface.
type Address struct {
	// Prefix is the address with its prefix length. Its host bits are not masked.
	Prefix netip.Prefix
	NIC    string
	Label  string // Label is the label of an IPv4 address. Empty means none.
	// Broadcast is the broadcast address of an IPv4 address. The zero Addr means none.
	Broadcast netip.Addr
	// Scope is empty for the default scope of iproute2: host for 127.0.0.0/8, link for fe80::/10,
	// global for other addresses.
	Scope string
	// Deprecated means that the preferred lifetime of the address is 0. The kernel then chooses an
	// IPv6 address as a source only if it has no other.
	Deprecated bool
	// Preferred is the number of seconds until the kernel makes the address deprecated. Zero means
	// never. It is not read from the kernel.
	Preferred int
	// NoPrefixRoute means that the kernel adds no route to the network of the address.
	NoPrefixRoute bool
	// NoDAD adds an IPv6 address without duplicate address detection. It is read from the kernel only
	// on silent interfaces, so that the address can be restored with it.
	NoDAD bool
	// Observed is state that the kernel reports and that cannot be set.
	Observed Observed
}

// Observed is the state of an address that only the kernel sets.
type Observed struct {
	// Tentative says that the duplicate address detection has not finished (RFC 4862).
	Tentative bool
	// Duplicate says that the duplicate address detection found another owner of the address.
	Duplicate bool
	// Diverted is the route of packets for the address if the kernel does not deliver them to this
	// host. It has the format of ip route get. It is empty if the kernel delivers them, or if the
	// address is not usable for another reason.
	Diverted string
	Interface
}

// Interface is the state of a network interface.
type Interface struct {
	Name string // Name is the name of the interface in the kernel.
	// Silent says that the interface has no neighbours, like a loopback, tunnel or dummy interface,
	// or that ARP is off.
	Silent    bool
	Down      bool // Down says that an operator or a program has set the interface down.
	NoCarrier bool // NoCarrier says that the interface is up, but has no carrier.
	// ARPOff says that ARP is off, although interfaces of this kind have neighbours.
	ARPOff bool
	// Master is the kind and name of the interface that takes all packets of this one, for example
	// bridge br0. It is empty if no other interface takes them.
	Master string
}

// AddressVerb is the kind of change that an AddressOp makes.
type AddressVerb uint8

// The verbs.
const (
	AddAddress AddressVerb = iota + 1
	DeleteAddress
	// ChangeAddress sets the preferred lifetime of an existing address.
	ChangeAddress
	// RaiseLink sets the interface of the address up.
	RaiseLink
	// LowerLink sets the interface of the address down.
	LowerLink
	// AddPolicy and DeletePolicy add and delete the label of an IPv6 address in the policy table of
	// source address selection (RFC 6724 section 2.1).
	AddPolicy
	DeletePolicy
	// FlushRoutes empties the route cache of the family of the address.
	FlushRoutes
)

// AddressOp is one change of the addresses of a host.
type AddressOp struct {
	Verb    AddressVerb
	Address Address
	Policy  uint32 // Policy is the label for AddPolicy and DeletePolicy.
}

// String returns the change as an ip command.
func (op AddressOp) String() string {
	a := op.Address
	switch op.Verb {
	case AddAddress:
		return "ip addr add " + a.String()
	case DeleteAddress:
		return fmt.Sprintf("ip addr del %s dev %s", a.Prefix, a.NIC)
	case ChangeAddress:
		lifetime := "forever"
		if a.Deprecated || a.Preferred > 0 {
			lifetime = strconv.Itoa(a.Preferred)
		}
		return fmt.Sprintf("ip addr change %s dev %s preferred_lft %s", a.Prefix, a.NIC, lifetime)
	case RaiseLink:
		return fmt.Sprintf("ip link set dev %s up", a.NIC)
	case LowerLink:
		return fmt.Sprintf("ip link set dev %s down", a.NIC)
	case AddPolicy:
		return fmt.Sprintf("ip addrlabel add prefix %s/128 label %d", a.Prefix.Addr(), op.Policy)
	case DeletePolicy:
		return fmt.Sprintf("ip addrlabel del prefix %s/128 label %d", a.Prefix.Addr(), op.Policy)
	case FlushRoutes:
		if a.Prefix.Addr().Is6() {
			return "ip -6 route flush cache"
		}
		return "ip route flush cache"
	}
	return fmt.Sprintf("address operation %d %s dev %s", op.Verb, a.Prefix, a.NIC)
}

// String returns the address as the arguments of ip addr add. ParseAddress parses it.
func (a Address) String() string {
	var b strings.Builder
	b.WriteString(a.Prefix.String())
	if a.Broadcast.IsValid() {
		fmt.Fprintf(&b, " brd %s", a.Broadcast)
	}
	fmt.Fprintf(&b, " dev %s", a.NIC)
	if a.Label != "" {
		fmt.Fprintf(&b, " label %s", a.Label)
	}
	if a.Scope != "" {
		fmt.Fprintf(&b, " scope %s", a.Scope)
	}
	if a.Deprecated || a.Preferred > 0 {
		fmt.Fprintf(&b, " preferred_lft %d", a.Preferred)
	}
	if a.NoDAD {
		b.WriteString(" nodad")
	}
	if a.NoPrefixRoute {
		b.WriteString(" noprefixroute")
	}
	return b.String()
}

// ParseAddress parses the text of Address.String.
func ParseAddress(text string) (Address, error) {
	var a Address
	words := strings.Fields(text)
	if len(words) == 0 {
		return a, fmt.Errorf("address %q: empty text", text)
	}
	var err error
	if a.Prefix, err = netip.ParsePrefix(words[0]); err != nil {
		return a, fmt.Errorf("address %q: %w", text, err)
	}
	for words = words[1:]; len(words) > 0; {
		n, err := a.option(words)
		if err != nil {
			return a, fmt.Errorf("address %q: %w", text, err)
		}
		words = words[n:]
	}
	if a.NIC == "" {
		return a, fmt.Errorf("address %q: no dev", text)
	}
	return a, nil
}

// option parses one option and returns its number of words.
func (a *Address) option(words []string) (int, error) {
	switch words[0] {
	case "nodad":
		a.NoDAD = true
		return 1, nil
	case "noprefixroute":
		a.NoPrefixRoute = true
		return 1, nil
	}
	if len(words) < 2 {
		return 0, fmt.Errorf("%q has no value", words[0])
	}
	var err error
	switch words[0] {
	case "brd":
		a.Broadcast, err = netip.ParseAddr(words[1])
	case "dev":
		a.NIC = words[1]
	case "label":
		a.Label = words[1]
	case "scope":
		a.Scope = words[1]
	case "preferred_lft":
		a.Preferred, err = strconv.Atoi(words[1])
		a.Deprecated = a.Preferred == 0
	default:
		err = fmt.Errorf("unknown option %q", words[0])
	}
	return 2, err
}

// Search selects a directly connected network.
type Search struct {
	IP   netip.Addr
	Bits int    // Bits is the longest prefix length of the network. Zero means any length.
	NIC  string // NIC is the name of the interface. Empty means any interface.
	// Protocol is the origin of the route, as in rtnetlink(7). Zero means any origin.
	Protocol int
}

// String returns the address, with the prefix length if the search limits it.
func (s Search) String() string {
	if s.Bits == 0 {
		return s.IP.String()
	}
	return netip.PrefixFrom(s.IP, s.Bits).String()
}

// Network is a network that an interface is directly connected to.
type Network struct {
	NIC  string
	Bits int // Bits is the prefix length.
	MTU  int // MTU is the size of the largest packet on the interface.
	// Broadcast is the broadcast address of the interface for this network. Zero means none.
	Broadcast netip.Addr
}

// Route is the kernel's route to an address. It is empty if the kernel has no route.
type Route struct {
	NIC string
	// Gateway is the next hop. It is the zero Addr if the network is directly connected, or if there
	// are several next hops.
	Gateway netip.Addr
	MTU     int // MTU is the size of the largest packet on the route.
}

// Handshake is a TCP connection whose client has sent a SYN, and no ACK yet.
type Handshake struct{ Client, Virtual, Server netip.AddrPort }

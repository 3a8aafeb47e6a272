package kerneltest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"lvs-agents/internal/host"
)

// Links is a fake of the kernel's interfaces, addresses and routes. It has those methods of
// internal/kernel/link that the agents use, and behaves as Linux does. Tests set the fields before
// the first call or between two calls.
type Links struct {
	// Stall makes every call wait until its context ends.
	Stall bool
	// Elsewhere has the IPv6 addresses that other hosts have. Duplicate address detection fails for
	// them.
	Elsewhere []netip.Addr
	// Namespaces are the names that Enter accepts. Each name is a network namespace with the same
	// interfaces and addresses.
	Namespaces []string
	// Routers are the next hops of the default routes, by interface.
	Routers map[string][]netip.Addr
	// Diverted maps an address to the next hop of its packets, if the kernel does not deliver them
	// to this host.
	Diverted map[netip.Addr]string
	// Names maps alternative names of interfaces to the kernel's names.
	Names map[string]string
	// Flushed is the number of times that the route cache was flushed.
	Flushed int

	mu        sync.Mutex
	nics      []string
	states    map[string]host.Interface
	addresses []host.Address
	policies  []string // policies has the label and the address of each IPv6 address label.
	faults    faults
}

// NewLinks returns a host that has only lo.
func NewLinks() *Links {
	k := &Links{states: map[string]host.Interface{"lo": {Silent: true}}}
	k.Have("lo", "127.0.0.1/8", "::1/128")
	return k
}

// Have adds addresses without duplicate address detection. It creates the interface if it does not
// exist. An IPv4 address gets the highest address of its network as its broadcast address, except
// on lo and in networks of one or two addresses.
func (k *Links) Have(nic string, prefixes ...string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !slices.Contains(k.nics, nic) {
		k.nics = append(k.nics, nic)
	}
	for _, text := range prefixes {
		a := host.Address{NIC: nic, Prefix: netip.MustParsePrefix(text)}
		if nic != "lo" && a.Prefix.Addr().Is4() && a.Prefix.Bits() < 31 {
			a.Broadcast = broadcast(a.Prefix)
		}
		k.addresses = append(k.addresses, a)
	}
}

func broadcast(p netip.Prefix) netip.Addr {
	raw := p.Addr().As4()
	for bit := p.Bits(); bit < 32; bit++ {
		raw[bit/8] |= 0x80 >> (bit % 8)
	}
	return netip.AddrFrom4(raw)
}

// FailAfter makes one change fail with err, after n more changes have succeeded. Later changes work
// again.
func (k *Links) FailAfter(n int, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.faults = faults{after: n, err: err}
}

// Becomes changes the state of an interface. An interface that goes down loses its IPv6 addresses.
func (k *Links) Becomes(nic string, state host.Interface) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.states[nic] = state
	if state.Down {
		k.addresses = slices.DeleteFunc(k.addresses, func(a host.Address) bool { return a.NIC == nic && a.Prefix.Addr().Is6() })
	}
}

// Rename gives an interface another name. An empty name removes the interface and its addresses.
func (k *Links) Rename(nic, name string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.nics = slices.DeleteFunc(k.nics, func(other string) bool { return other == nic })
	if name == "" {
		k.addresses = slices.DeleteFunc(k.addresses, func(a host.Address) bool { return a.NIC == nic })
		return
	}
	k.nics = append(k.nics, name)
	k.states[name] = k.states[nic]
	for i := range k.addresses {
		if k.addresses[i].NIC == nic {
			k.addresses[i].NIC = name
		}
	}
}

// String returns the ip commands that add all addresses, one command per line, in the order of
// their addition. It leaves out the addresses of lo that every host has. After the addresses, it
// returns the address labels.
func (k *Links) String() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	var b strings.Builder
	for _, a := range k.addresses {
		if text := a.String(); text != "127.0.0.1/8 dev lo" && text != "::1/128 dev lo" {
			fmt.Fprintln(&b, host.AddressOp{Verb: host.AddAddress, Address: a})
		}
	}
	for _, policy := range k.policies {
		fmt.Fprintln(&b, policy)
	}
	return b.String()
}

// Enter returns nil if Namespaces has the name, and an error otherwise. The calling thread stays in
// its namespace, unlike with Enter of package link.
func (k *Links) Enter(name string) error {
	if slices.Contains(k.Namespaces, name) {
		return nil
	}
	return host.NotInstalled("network namespace %q does not exist; ip netns add %s", name, name)
}

// Gateways returns the addresses of one family in Routers for an interface.
func (k *Links) Gateways(ctx context.Context, nic string, v6 bool) ([]netip.Addr, error) {
	if err := k.open(ctx); err != nil {
		return nil, fmt.Errorf("ip route show default dev %s: %w", nic, err)
	}
	var found []netip.Addr
	for _, ip := range k.Routers[nic] {
		if ip.Is6() == v6 {
			found = append(found, ip)
		}
	}
	return found, nil
}

func (k *Links) open(ctx context.Context) error {
	if k.Stall {
		<-ctx.Done()
	}
	return ctx.Err()
}

// Addresses returns the address ip on every interface that has it, as Addresses of package link
// does.
func (k *Links) Addresses(ctx context.Context, ip netip.Addr) ([]host.Address, error) {
	if err := k.open(ctx); err != nil {
		return nil, fmt.Errorf("ip addr show to %s: %w", ip, err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	var found []host.Address
	for _, a := range k.addresses {
		if a.Prefix.Addr() == ip {
			found = append(found, k.observedLocked(a))
		}
	}
	slices.SortStableFunc(found, func(a, b host.Address) int {
		return cmp.Or(strings.Compare(a.NIC, b.NIC), cmp.Compare(a.Prefix.Bits(), b.Prefix.Bits()))
	})
	return found, nil
}

func (k *Links) observedLocked(a host.Address) host.Address {
	a.Observed.Interface = k.stateLocked(a.NIC)
	a.NoDAD = a.NoDAD && a.Observed.Silent
	if !a.Observed.Down && !a.Observed.NoCarrier && !a.Observed.Tentative {
		a.Observed.Diverted = k.Diverted[a.Prefix.Addr()]
	}
	return a
}

func (k *Links) stateLocked(nic string) host.Interface {
	state := k.states[nic]
	state.Name = nic
	return state
}

// On returns the address ip on one interface, and the kernel's name of the interface, as On of
// package link does.
func (k *Links) On(ctx context.Context, nic string, ip netip.Addr) (string, []host.Address, error) {
	if err := k.open(ctx); err != nil {
		return "", nil, fmt.Errorf("ip addr show to %s dev %s: %w", ip, nic, err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	name, err := k.nameLocked(nic)
	if err != nil {
		return "", nil, err
	}
	var found []host.Address
	for _, a := range k.addresses {
		if a.Prefix.Addr() == ip && a.NIC == name {
			found = append(found, k.observedLocked(a))
		}
	}
	slices.SortStableFunc(found, func(a, b host.Address) int { return cmp.Compare(a.Prefix.Bits(), b.Prefix.Bits()) })
	return name, found, nil
}

// Interface returns the state of an interface, or a host.ErrNotInstalled if the interface does not
// exist.
func (k *Links) Interface(ctx context.Context, nic string) (host.Interface, error) {
	if err := k.open(ctx); err != nil {
		return host.Interface{}, fmt.Errorf("ip link show dev %s: %w", nic, err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	name, err := k.nameLocked(nic)
	if err != nil {
		return host.Interface{}, err
	}
	return k.stateLocked(name), nil
}

// nameLocked returns the kernel's name for an interface.
func (k *Links) nameLocked(nic string) (string, error) {
	name := cmp.Or(k.Names[nic], nic)
	if before, _, printed := strings.Cut(name, "@"); printed && k.nicLocked(name) != nil && k.nicLocked(before) == nil {
		name = before
	}
	if k.nicLocked(name) != nil {
		return "", k.nicLocked(nic)
	}
	return name, nil
}

func (k *Links) nicLocked(nic string) error {
	if slices.Contains(k.nics, nic) {
		return nil
	}
	return host.NotInstalled("network interface %q does not exist; create it or give one that ip link shows", nic)
}

// Network returns the connected network that contains an address, as Network of package link does.
// The fake has only the routes that the kernel adds with an address.
func (k *Links) Network(ctx context.Context, search host.Search) (host.Network, error) {
	ip, nic := search.IP, search.NIC
	if err := k.open(ctx); err != nil {
		return host.Network{}, fmt.Errorf("ip route list match %s: %w", search, err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if nic != "" {
		name, err := k.nameLocked(nic)
		if err != nil {
			return host.Network{}, err
		}
		nic = name
	}
	var best host.Network
	const kernel = 2 // kernel is RTPROT_KERNEL.
	for _, a := range k.addresses {
		p := a.Prefix
		fits := (search.Bits == 0 || p.Bits() <= search.Bits) && (search.Protocol == 0 || search.Protocol == kernel || ip.IsLoopback())
		if fits && !a.NoPrefixRoute && p.Contains(ip) && (nic == "" || nic == a.NIC) && p.Bits() > best.Bits && p.Bits() < ip.BitLen() {
			best = host.Network{NIC: a.NIC, Bits: p.Bits(), MTU: mtu, Broadcast: a.Broadcast}
		}
	}
	switch ambiguous := nic == "" && ip.Is6() && ip.IsLinkLocalUnicast(); {
	case nic == "" && (ambiguous || best.NIC == ""):
		return host.Network{}, fmt.Errorf("%w holds %s; give nic and cidr_netmask", host.ErrNoNetwork, search)
	case best.NIC == "":
		return host.Network{}, fmt.Errorf("%w of %s holds %s; give cidr_netmask, or another nic", host.ErrNoNetwork, nic, search)
	}
	return best, nil
}

// mtu is the MTU of every interface.
const mtu = 1500

// Route returns a route to an address in a connected network, as Route of package link does. The
// fake has no routes to other networks.
func (k *Links) Route(ctx context.Context, ip netip.Addr) (host.Route, error) {
	network, err := k.Network(ctx, host.Search{IP: ip})
	if errors.Is(err, host.ErrNoNetwork) {
		return host.Route{}, nil
	}
	return host.Route{NIC: network.NIC, MTU: network.MTU}, err
}

// Apply changes addresses in order until a change fails, as Apply of package link does. It returns
// the number of changes that succeeded.
func (k *Links) Apply(ctx context.Context, ops []host.AddressOp) (done int, err error) {
	if len(ops) == 0 {
		return 0, nil
	}
	if err := k.open(ctx); err != nil {
		return 0, fmt.Errorf("%s: %w", ops[0], err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for done, op := range ops {
		if err := k.applyLocked(op); err != nil {
			return done, fmt.Errorf("%s: %w", op, err)
		}
	}
	return len(ops), nil
}

func (k *Links) applyLocked(op host.AddressOp) error {
	if err := k.faults.next(); err != nil {
		return err
	}
	switch op.Verb {
	case host.AddPolicy, host.DeletePolicy:
		return k.policyLocked(op)
	case host.FlushRoutes:
		k.Flushed++
		return nil
	default:
	}
	a, missing := op.Address, k.nicLocked(op.Address.NIC)
	switch {
	case missing != nil && op.Verb != host.DeleteAddress:
		return missing
	case missing != nil:
		return fmt.Errorf("no interface %s: %w", a.NIC, fs.ErrNotExist)
	case op.Verb == host.RaiseLink:
		state := k.states[a.NIC]
		state.Down = false
		k.states[a.NIC] = state
		return nil
	}
	return k.addressLocked(op.Verb, a)
}

func (k *Links) addressLocked(verb host.AddressVerb, a host.Address) error {
	i := slices.IndexFunc(k.addresses, func(h host.Address) bool {
		same := h.Prefix == a.Prefix || verb == host.AddAddress && a.Prefix.Addr().Is6() && h.Prefix.Addr() == a.Prefix.Addr()
		return same && h.NIC == a.NIC
	})
	switch {
	case verb == host.AddAddress && i >= 0:
		return fs.ErrExist
	case verb == host.AddAddress:
		a.Observed = host.Observed{Tentative: a.NIC != "lo" && a.Prefix.Addr().Is6() && !a.NoDAD}
		if a.Prefix.Addr().Is6() {
			a.Label, a.Broadcast, a.Scope = "", netip.Addr{}, ""
		}
		k.addresses = append(k.addresses, a)
	case i < 0:
		return fs.ErrNotExist
	case verb == host.ChangeAddress:
		k.addresses[i].Deprecated, k.addresses[i].Preferred = a.Deprecated, a.Preferred
	default:
		k.addresses = slices.Delete(k.addresses, i, i+1)
	}
	return nil
}

func (k *Links) policyLocked(op host.AddressOp) error {
	text := host.AddressOp{Verb: host.AddPolicy, Address: op.Address, Policy: op.Policy}.String()
	prefix, _, _ := strings.Cut(text, " label ")
	i := slices.IndexFunc(k.policies, func(p string) bool { return strings.HasPrefix(p, prefix+" ") })
	switch {
	case op.Verb == host.AddPolicy && i >= 0:
		return fs.ErrExist
	case op.Verb == host.AddPolicy:
		k.policies = append(k.policies, text)
	case i < 0:
		return fs.ErrNotExist
	default:
		k.policies = slices.Delete(k.policies, i, i+1)
	}
	return nil
}

// Settle finishes the duplicate address detection of an address, or returns the reason why it
// fails. A tentative address of this fake stays tentative until a call of Settle.
func (k *Links) Settle(ctx context.Context, a host.Address) error {
	err := k.open(ctx)
	if err == nil {
		k.mu.Lock()
		defer k.mu.Unlock()
		err = k.settleLocked(a)
	}
	if err != nil {
		return fmt.Errorf("%s on %s: %w", a.Prefix, a.NIC, err)
	}
	return nil
}

func (k *Links) settleLocked(a host.Address) error {
	for i, h := range k.addresses {
		if h.NIC != a.NIC || h.Prefix != a.Prefix {
			continue
		}
		switch {
		case !h.Observed.Tentative:
			return nil
		case k.states[a.NIC].NoCarrier:
			return host.ErrNoCarrier
		case slices.Contains(k.Elsewhere, a.Prefix.Addr()):
			k.addresses[i].Observed.Duplicate = true
			return fmt.Errorf("%w (duplicate address detection failed)", host.ErrDuplicate)
		}
		k.addresses[i].Observed.Tentative = false
		return nil
	}
	return fmt.Errorf("the address is gone: %w", fs.ErrNotExist)
}

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

	"lvs-agents/internal/lvs"
)

// Links is the network of a kernel that is not there. It has the methods of
// internal/kernel/link and the manners of Linux. Set the fields before it is
// used or between two calls.
type Links struct {
	// Stall lets every call wait until its context ends.
	Stall bool
	// Elsewhere are IPv6 addresses that other hosts have.
	Elsewhere []netip.Addr

	mu        sync.Mutex
	nics      []string
	addresses []lvs.Address
	faults    faults
}

// NewLinks returns a host with nothing but lo.
func NewLinks() *Links {
	k := &Links{}
	k.Have("lo", "127.0.0.1/8", "::1/128")
	return k
}

// Have adds an interface, if it is not there yet, with addresses that are
// settled. IPv4 addresses get the highest of their network as broadcast.
func (k *Links) Have(nic string, prefixes ...string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !slices.Contains(k.nics, nic) {
		k.nics = append(k.nics, nic)
	}
	for _, text := range prefixes {
		a := lvs.Address{NIC: nic, Prefix: netip.MustParsePrefix(text)}
		a.Observed.Silent = nic == "lo"
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

// FailAfter lets n more changes succeed and the one behind them fail with err;
// those behind that one work again.
func (k *Links) FailAfter(n int, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.faults = faults{after: n, err: err}
}

// String is the ip commands that make all addresses but those of lo, a line each,
// in the order in which they came to be.
func (k *Links) String() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	var b strings.Builder
	for _, a := range k.addresses {
		if !a.Observed.Silent {
			fmt.Fprintln(&b, lvs.AddressOp{Verb: lvs.AddAddress, Address: a})
		}
	}
	return b.String()
}

func (k *Links) open(ctx context.Context) error {
	if k.Stall {
		<-ctx.Done()
	}
	return ctx.Err()
}

// Addresses is as that of internal/kernel/link.
func (k *Links) Addresses(ctx context.Context, ip netip.Addr) ([]lvs.Address, error) {
	if err := k.open(ctx); err != nil {
		return nil, fmt.Errorf("ip addr show to %s: %w", ip, err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	var found []lvs.Address
	for _, a := range k.addresses {
		if a.Prefix.Addr() == ip {
			found = append(found, a)
		}
	}
	slices.SortStableFunc(found, func(a, b lvs.Address) int {
		return cmp.Or(strings.Compare(a.NIC, b.NIC), cmp.Compare(a.Prefix.Bits(), b.Prefix.Bits()))
	})
	return found, nil
}

// Interface is as that of internal/kernel/link.
func (k *Links) Interface(ctx context.Context, nic string) error {
	if err := k.open(ctx); err != nil {
		return fmt.Errorf("ip link show dev %s: %w", nic, err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.nicLocked(nic)
}

func (k *Links) nicLocked(nic string) error {
	if slices.Contains(k.nics, nic) {
		return nil
	}
	return lvs.NotInstalled("network interface %q does not exist; create it or give one that ip link shows", nic)
}

// Network is as that of internal/kernel/link; the routes are those that come
// with the addresses.
func (k *Links) Network(ctx context.Context, ip netip.Addr, nic string) (lvs.Network, error) {
	if err := k.open(ctx); err != nil {
		return lvs.Network{}, fmt.Errorf("ip route list match %s: %w", ip, err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if nic != "" {
		if err := k.nicLocked(nic); err != nil {
			return lvs.Network{}, err
		}
	}
	var best lvs.Network
	for _, a := range k.addresses {
		p := a.Prefix
		if p.Contains(ip) && (nic == "" || nic == a.NIC) && p.Bits() > best.Bits && p.Bits() < ip.BitLen() {
			best = lvs.Network{NIC: a.NIC, Bits: p.Bits(), Broadcast: a.Broadcast}
		}
	}
	switch ambiguous := nic == "" && ip.Is6() && ip.IsLinkLocalUnicast(); {
	case nic == "" && (ambiguous || best.NIC == ""):
		return lvs.Network{}, fmt.Errorf("%w holds %s; give nic and cidr_netmask", lvs.ErrNoNetwork, ip)
	case best.NIC == "":
		return lvs.Network{}, fmt.Errorf("%w of %s holds %s; give cidr_netmask, or another nic", lvs.ErrNoNetwork, nic, ip)
	}
	return best, nil
}

// Apply is as that of internal/kernel/link.
func (k *Links) Apply(ctx context.Context, ops []lvs.AddressOp) (done int, err error) {
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

func (k *Links) applyLocked(op lvs.AddressOp) error {
	if err := k.faults.next(); err != nil {
		return err
	}
	a, missing := op.Address, k.nicLocked(op.Address.NIC)
	switch {
	case op.Verb == lvs.AddAddress && missing != nil:
		return missing
	case missing != nil:
		return fmt.Errorf("no interface %s: %w", a.NIC, fs.ErrNotExist)
	}
	i := slices.IndexFunc(k.addresses, func(h lvs.Address) bool {
		same := h.Prefix == a.Prefix || op.Verb == lvs.AddAddress && a.Prefix.Addr().Is6() && h.Prefix.Addr() == a.Prefix.Addr()
		return same && h.NIC == a.NIC
	})
	switch {
	case op.Verb == lvs.AddAddress && i >= 0:
		return fs.ErrExist
	case op.Verb == lvs.AddAddress:
		a.Observed = lvs.Observed{Silent: a.NIC == "lo", Tentative: a.NIC != "lo" && a.Prefix.Addr().Is6()}
		if a.Prefix.Addr().Is6() {
			a.Label, a.Broadcast = "", netip.Addr{}
		}
		k.addresses = append(k.addresses, a)
	case i < 0:
		return fs.ErrNotExist
	default:
		k.addresses = slices.Delete(k.addresses, i, i+1)
	}
	return nil
}

// Settle is as that of internal/kernel/link. An IPv6 address stays tentative
// until it is called.
func (k *Links) Settle(ctx context.Context, a lvs.Address) error {
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

func (k *Links) settleLocked(a lvs.Address) error {
	for i, h := range k.addresses {
		if h.NIC != a.NIC || h.Prefix != a.Prefix {
			continue
		}
		if slices.Contains(k.Elsewhere, a.Prefix.Addr()) {
			k.addresses[i].Observed.Duplicate = true
			return errors.New("another host has this address (duplicate address detection failed)")
		}
		k.addresses[i].Observed.Tentative = false
		return nil
	}
	return fmt.Errorf("the address is gone: %w", fs.ErrNotExist)
}

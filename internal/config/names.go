package config

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Resolver looks up host names. *net.Resolver implements Resolver.
type Resolver interface {
	// LookupNetIP returns the addresses of a host; network is "ip4" or "ip6".
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Limits of lookups. All lookups for a configuration end within maxLookup. This is more than the
// five seconds that the resolver waits for a dead name server.
const (
	maxLookup  = 8 * time.Second
	maxLookups = 128 // maxLookups is the largest number of lookups that run at the same time.
)

// Names looks up host names and remembers their addresses. A name that no longer has an address
// keeps its last address. Of several addresses, Names chooses the last address if it is among them.
type Names struct {
	resolver Resolver
	mu       sync.Mutex
	last     map[Host]netip.Addr
	changed  bool   // changed says that the map last has an address that is not in the file.
	missing  int    // missing is how many names of the last configuration had no address.
	unknown  []Host // unknown are the missing names that have no last address either.
}

// NewNames makes a Names that has no last addresses. Without a resolver, the lookup of each name
// fails.
func NewNames(r Resolver) *Names { return &Names{resolver: r, last: map[Host]netip.Addr{}} }

// Host is a name or an address, and the family that its address must have.
type Host struct {
	Name string
	IPv6 bool
}

// Answer is the address of a host. With Err, Addr is the last address of the host, or invalid if
// the host has no last address.
type Answer struct {
	Addr netip.Addr
	Err  error
}

// Missing reports whether a name of the last resolved configuration had no address.
func (n *Names) Missing() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.missing > 0
}

func (n *Names) begin() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.missing, n.unknown = 0, nil
}

// Unknown returns the names of the last resolved configuration that have neither an address nor a
// last address.
func (n *Names) Unknown() []Host {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.unknown)
}

// Lookup returns the addresses of hosts. It looks up each name once, and several names at the same
// time.
func (n *Names) Lookup(ctx context.Context, hosts []Host) map[Host]Answer {
	ctx, cancel := context.WithTimeout(ctx, maxLookup)
	defer cancel()
	answers := make(map[Host]Answer, len(hosts))
	var asked []Host
	for _, h := range hosts {
		if _, again := answers[h]; again {
			continue
		}
		addr, err := netip.ParseAddr(h.Name)
		answers[h] = Answer{Addr: addr}
		if err != nil {
			asked = append(asked, h)
		}
	}
	found := make([]Answer, len(asked))
	var lookups sync.WaitGroup
	for first := range min(maxLookups, len(asked)) {
		lookups.Go(func() {
			for i := first; i < len(asked); i += maxLookups {
				found[i] = n.lookup(ctx, asked[i])
			}
		})
	}
	lookups.Wait()
	for i, h := range asked {
		answers[h] = found[i]
	}
	return answers
}

func (n *Names) lookup(ctx context.Context, h Host) Answer {
	addrs, err := n.query(ctx, h)
	n.mu.Lock()
	defer n.mu.Unlock()
	last, known := n.last[h]
	switch {
	case err != nil:
		n.missing++
		if !known {
			n.unknown = append(n.unknown, h)
		}
		return Answer{last, err}
	case known && slices.Contains(addrs, last):
		return Answer{Addr: last}
	}
	n.last[h], n.changed = addrs[0], true
	return Answer{Addr: addrs[0]}
}

// query looks up a host name. It returns at least one address, or an error.
func (n *Names) query(ctx context.Context, h Host) ([]netip.Addr, error) {
	if n.resolver == nil {
		return nil, errors.New("names are not looked up here; write an address")
	}
	found, err := n.resolver.LookupNetIP(ctx, h.network(), h.Name)
	if err != nil {
		if ctx.Err() != nil {
			return nil, fmt.Errorf("lookup %s: no answer in time", h.Name)
		}
		return nil, err
	}
	var addrs []netip.Addr
	for _, addr := range found {
		// Some name servers reply 0.0.0.0 for names that they block. This address does not count.
		if addr = addr.Unmap(); addr.Is6() == h.IPv6 && !addr.IsUnspecified() {
			addrs = append(addrs, addr.WithZone(""))
		}
	}
	if len(addrs) == 0 {
		return nil, fmt.Errorf("lookup %s: no %s address", h.Name, map[bool]string{false: "IPv4", true: "IPv6"}[h.IPv6])
	}
	return addrs, nil
}

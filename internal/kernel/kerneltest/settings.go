package kerneltest

import (
	"context"
	"fmt"
	"io/fs"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"lvs-agents/internal/host"
)

// Settings is a fake of the kernel of a real server. It has the methods of internal/kernel/setting
// for settings and, through Links, methods of internal/kernel/link.
type Settings struct {
	*Links

	mu     sync.Mutex
	values map[host.Setting]string
	ops    []string
	faults faults
}

// NewSettings returns a host with lo, with eth0 in 192.0.2.0/24 and 2001:db8::/64, and with the
// tunnel interfaces, which are down.
func NewSettings() *Settings {
	k := &Settings{Links: NewLinks(), values: map[host.Setting]string{}}
	k.Have("eth0", "192.0.2.21/24", "2001:db8::21/64")
	for _, name := range []string{"all/arp_ignore", "all/arp_announce", "tunl0/rp_filter"} {
		k.Put(host.Setting{Kind: host.Sysctl, Name: "net/ipv4/conf/" + name}, "0")
	}
	for _, nic := range []string{"tunl0", "ip6tnl0"} {
		k.Put(host.Setting{Kind: host.LinkUp, NIC: nic}, host.Off)
	}
	return k
}

// Put sets a setting without a call of Set, as another program would. With the value "", Put makes
// the setting impossible, as if its interface was removed.
func (k *Settings) Put(s host.Setting, value string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if value == "" {
		delete(k.values, s)
		return
	}
	k.values[s] = value
}

// FailAfter makes one change fail with err, after n more changes have succeeded.
func (k *Settings) FailAfter(n int, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.faults = faults{after: n, err: err}
}

// String returns every setting that is not off, one per line, sorted.
func (k *Settings) String() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	var lines []string
	for s, value := range k.values {
		if value != host.Off {
			lines = append(lines, fmt.Sprintf("%s %s\n", s, value))
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}

// Commands returns the changes since the last call of Commands, as commands.
func (k *Settings) Commands() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	ops := k.ops
	k.ops = nil
	return ops
}

// Get returns the value of a setting. The value is empty for a setting that cannot exist.
func (k *Settings) Get(ctx context.Context, s host.Setting) (string, error) {
	if err := k.open(ctx); err != nil {
		return "", fmt.Errorf("look at %s: %w", s, err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.getLocked(s), nil
}

func (k *Settings) getLocked(s host.Setting) string {
	value, ok := k.values[s]
	if !ok && s.Kind != host.Sysctl && s.Kind != host.LinkUp {
		return host.Off
	}
	return value
}

// Set gives a setting a value. It returns an error if the kernel would refuse the change.
func (k *Settings) Set(ctx context.Context, s host.Setting, value string) error {
	if err := k.open(ctx); err != nil {
		return fmt.Errorf("%s: %w", s.Command(value), err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	err := k.faults.next()
	have := k.getLocked(s)
	switch {
	case err != nil:
	case have == "":
		err = fs.ErrNotExist
	case s.Kind == host.Sysctl, s.Kind == host.LinkUp, s.Named(), have != value:
		k.values[s] = value
		k.ops = append(k.ops, s.Command(value))
	case value == host.On:
		err = fs.ErrExist
	default:
		err = fs.ErrNotExist
	}
	if err != nil {
		return fmt.Errorf("%s: %w", s.Command(value), err)
	}
	return nil
}

// Prepare returns nil for lo and for the tunnel interfaces. It returns an error for eth0, which has
// neighbours, and for interfaces that do not exist.
func (k *Settings) Prepare(ctx context.Context, nic string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch _, tunnel := k.values[host.Setting{Kind: host.LinkUp, NIC: nic}]; {
	case nic == "eth0":
		return fmt.Errorf("interface %s: hosts on its network would get ARP replies for the address; use lo, a tunnel or a dummy interface", nic)
	case nic != "lo" && !tunnel:
		return host.NotInstalled("network interface %q does not exist; create it or give one that ip link shows", nic)
	}
	return ctx.Err()
}

// Source returns 192.0.2.21 for addresses in 192.0.2.0/24, and an error for other addresses.
func (k *Settings) Source(_ context.Context, ip netip.Addr) (netip.Addr, error) {
	if netip.MustParsePrefix("192.0.2.0/24").Contains(ip) {
		return netip.MustParseAddr("192.0.2.21"), nil
	}
	return netip.Addr{}, fmt.Errorf("%w of this host holds %s; give source, the address of this host", host.ErrNoNetwork, ip)
}

// ARPTables returns the name of the arptables program of the fake host.
func (k *Settings) ARPTables(context.Context) (string, error) { return "arptables", nil }

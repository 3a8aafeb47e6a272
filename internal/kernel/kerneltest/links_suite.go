package kerneltest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lvs-agents/internal/host"
)

// LinkKernel is the interface that RunLinks tests.
type LinkKernel interface {
	Addresses(ctx context.Context, ip netip.Addr) ([]host.Address, error)
	On(ctx context.Context, nic string, ip netip.Addr) (name string, found []host.Address, err error)
	Interface(ctx context.Context, nic string) (host.Interface, error)
	Network(ctx context.Context, search host.Search) (host.Network, error)
	Gateways(ctx context.Context, nic string, v6 bool) ([]netip.Addr, error)
	Apply(ctx context.Context, ops []host.AddressOp) (done int, err error)
	Settle(ctx context.Context, a host.Address) error
}

// linkCase is a test that applies address operations. The field show lists IP addresses. The field
// want is the result of Addresses for these addresses at the end.
type linkCase struct {
	name string
	ops  []host.AddressOp
	done int
	err  error
	text string // text is the text of the error.
	show string
	want string
}

func addr(nic, prefix string) host.Address {
	return host.Address{NIC: nic, Prefix: netip.MustParsePrefix(prefix)}
}

func add(a host.Address) host.AddressOp { return host.AddressOp{Verb: host.AddAddress, Address: a} }
func del(a host.Address) host.AddressOp { return host.AddressOp{Verb: host.DeleteAddress, Address: a} }
func change(a host.Address) host.AddressOp {
	return host.AddressOp{Verb: host.ChangeAddress, Address: a}
}

func label(verb host.AddressVerb, value uint32) host.AddressOp {
	return host.AddressOp{Verb: verb, Address: addr("eth0", "2001:db8::10/64"), Policy: value}
}

func linkCases() []linkCase {
	full := addr("eth0", "192.0.2.10/24")
	full.Label, full.Broadcast = "eth0:vip", netip.MustParseAddr("192.0.2.255")
	old := addr("eth0", "192.0.2.10/24")
	old.Deprecated = true
	old6 := addr("eth0", "2001:db8::10/64")
	old6.Deprecated = true
	bare, bare6 := addr("eth0", "192.0.2.10/24"), addr("eth0", "2001:db8::10/64")
	bare.NoPrefixRoute, bare6.NoPrefixRoute, bare6.NoDAD = true, true, true
	local := addr("lo", "192.0.2.10/32")
	local.Scope, local.Label, local.Broadcast = "host", "lo:vip", netip.MustParseAddr("192.0.2.10")
	local6 := addr("lo", "2001:db8::10/128")
	local6.NoDAD = true
	young := addr("eth0", "2001:db8::10/64")
	young.Preferred = 1000
	raise := host.AddressOp{Verb: host.RaiseLink, Address: addr("eth0", "192.0.2.10/24")}
	return []linkCase{
		{name: "nothing", show: "192.0.2.10 2001:db8::10"},
		{name: "present addresses", show: "192.0.2.1 127.0.0.1 ::1 2001:db8::1", want: `
ip addr add 192.0.2.1/24 brd 192.0.2.255 dev eth0
ip addr add 127.0.0.1/8 dev lo (silent)
ip addr add ::1/128 dev lo (silent)
ip addr add 2001:db8::1/64 dev eth0
`},
		{name: "add without a broadcast address", ops: []host.AddressOp{add(addr("eth0", "192.0.2.10/24"))}, done: 1,
			show: "192.0.2.10", want: "ip addr add 192.0.2.10/24 dev eth0"},
		{name: "add with label and broadcast address", ops: []host.AddressOp{add(full)}, done: 1, show: "192.0.2.10",
			want: "ip addr add 192.0.2.10/24 brd 192.0.2.255 dev eth0 label eth0:vip"},
		{name: "add deprecated", ops: []host.AddressOp{add(old), add(old6)}, done: 2, show: "192.0.2.10 2001:db8::10", want: `
ip addr add 192.0.2.10/24 dev eth0 preferred_lft 0
ip addr add 2001:db8::10/64 dev eth0 preferred_lft 0 (tentative)
`},
		{name: "add on lo", ops: []host.AddressOp{add(addr("lo", "192.0.2.10/32")), add(addr("lo", "127.0.0.5/8"))}, done: 2,
			show: "192.0.2.10 127.0.0.5", want: `
ip addr add 192.0.2.10/32 dev lo (silent)
ip addr add 127.0.0.5/8 dev lo (silent)
`},
		{name: "add without route and detection", ops: []host.AddressOp{add(bare), add(bare6)}, done: 2, show: "192.0.2.10 2001:db8::10", want: `
ip addr add 192.0.2.10/24 dev eth0 noprefixroute
ip addr add 2001:db8::10/64 dev eth0 noprefixroute
`},
		{name: "add on lo with everything", ops: []host.AddressOp{add(local)}, done: 1, show: "192.0.2.10",
			want: "ip addr add 192.0.2.10/32 brd 192.0.2.10 dev lo label lo:vip scope host (silent)"},
		{name: "add on lo without detection", ops: []host.AddressOp{add(local6)}, done: 1, show: "2001:db8::10",
			want: "ip addr add 2001:db8::10/128 dev lo nodad (silent)"},
		{name: "deprecate and back", ops: []host.AddressOp{add(addr("eth0", "2001:db8::10/64")), change(old6), change(young), change(addr("eth0", "2001:db8::10/64"))},
			done: 4, show: "2001:db8::10", want: "ip addr add 2001:db8::10/64 dev eth0 (tentative)"},
		{name: "deprecate", ops: []host.AddressOp{change(addr("eth0", "2001:db8::1/64")), add(old6), change(old6)}, done: 3,
			show: "2001:db8::10", want: "ip addr add 2001:db8::10/64 dev eth0 preferred_lft 0 (tentative)"},
		{name: "change a missing address", ops: []host.AddressOp{change(old6)}, err: fs.ErrNotExist,
			text: "ip addr change 2001:db8::10/64 dev eth0 preferred_lft 0: file does not exist"},
		{name: "set up an interface that is up", ops: []host.AddressOp{raise}, done: 1},
		{name: "set up a missing interface", ops: []host.AddressOp{{Verb: host.RaiseLink, Address: addr("eth9", "192.0.2.10/24")}}, err: host.ErrNotInstalled,
			text: `ip link set dev eth9 up: network interface "eth9" does not exist; create it or give one that ip link shows`},
		{name: "address labels", ops: []host.AddressOp{label(host.AddPolicy, 99), label(host.DeletePolicy, 99), label(host.AddPolicy, 7), label(host.AddPolicy, 7)},
			done: 3, err: fs.ErrExist, text: "ip addrlabel add prefix 2001:db8::10/128 label 7: file already exists"},
		{name: "delete an address label that is not there", ops: []host.AddressOp{label(host.DeletePolicy, 99)}, err: fs.ErrNotExist,
			text: "ip addrlabel del prefix 2001:db8::10/128 label 99: file does not exist"},
		{name: "flush routes", ops: []host.AddressOp{{Verb: host.FlushRoutes, Address: bare}, {Verb: host.FlushRoutes, Address: bare6}}, done: 2},
		{name: "one address everywhere", ops: []host.AddressOp{
			add(addr("eth0", "192.0.2.10/24")), add(addr("eth0", "192.0.2.10/32")), add(addr("eth1", "192.0.2.10/24")),
		}, done: 3, show: "192.0.2.10", want: `
ip addr add 192.0.2.10/24 dev eth0
ip addr add 192.0.2.10/32 dev eth0
ip addr add 192.0.2.10/24 dev eth1
`},
		{name: "add a present address", ops: []host.AddressOp{add(addr("eth0", "192.0.2.1/24"))}, err: fs.ErrExist,
			text: "ip addr add 192.0.2.1/24 dev eth0: file already exists"},
		{name: "add an IPv6 address with another prefix length", ops: []host.AddressOp{add(addr("eth0", "2001:db8::1/128"))},
			err: fs.ErrExist, text: "ip addr add 2001:db8::1/128 dev eth0: file already exists"},
		{name: "add on a missing interface", ops: []host.AddressOp{add(addr("eth9", "192.0.2.10/24"))}, err: host.ErrNotInstalled,
			text: `ip addr add 192.0.2.10/24 dev eth9: network interface "eth9" does not exist; create it or give one that ip link shows`},
		{name: "delete", ops: []host.AddressOp{add(full), del(addr("eth0", "192.0.2.10/24"))}, done: 2, show: "192.0.2.10"},
		{name: "delete IPv6", ops: []host.AddressOp{add(old6), del(addr("eth0", "2001:db8::10/64"))}, done: 2, show: "2001:db8::10"},
		{name: "delete a missing address", ops: []host.AddressOp{del(addr("eth0", "192.0.2.10/24"))}, err: fs.ErrNotExist,
			text: "ip addr del 192.0.2.10/24 dev eth0: file does not exist"},
		{name: "delete IPv6 that is not there", ops: []host.AddressOp{del(addr("eth0", "2001:db8::10/64"))}, err: fs.ErrNotExist},
		{name: "delete with another prefix length", ops: []host.AddressOp{del(addr("eth0", "192.0.2.1/32"))}, err: fs.ErrNotExist,
			show: "192.0.2.1", want: "ip addr add 192.0.2.1/24 brd 192.0.2.255 dev eth0"},
		{name: "delete on a missing interface", ops: []host.AddressOp{del(addr("eth9", "192.0.2.10/24"))}, err: fs.ErrNotExist,
			text: "ip addr del 192.0.2.10/24 dev eth9: no interface eth9: file does not exist"},
		{name: "the others of a subnet survive the first", ops: []host.AddressOp{
			add(addr("eth0", "198.51.100.1/24")), add(addr("eth0", "198.51.100.2/24")), add(addr("eth0", "198.51.100.3/24")),
			del(addr("eth0", "198.51.100.1/24")), del(addr("eth0", "198.51.100.2/24")),
		}, done: 5, show: "198.51.100.1 198.51.100.2 198.51.100.3", want: "ip addr add 198.51.100.3/24 dev eth0"},
		{name: "the host's address survives a VIP", ops: []host.AddressOp{
			add(addr("eth0", "192.0.2.10/24")), del(addr("eth0", "192.0.2.10/24")),
		}, done: 2, show: "192.0.2.1", want: "ip addr add 192.0.2.1/24 brd 192.0.2.255 dev eth0"},
		{name: "failure in the middle", ops: []host.AddressOp{
			add(addr("eth0", "192.0.2.10/24")), add(addr("eth0", "192.0.2.10/24")), add(addr("eth0", "192.0.2.11/24")),
		}, done: 1, err: fs.ErrExist, show: "192.0.2.10 192.0.2.11", want: "ip addr add 192.0.2.10/24 dev eth0"},
	}
}

// RunLinks tests that a kernel behaves as Linux does. Each subtest calls open, which returns a
// kernel with three interfaces, all up and settled:
//
//   - lo
//   - eth0 with 192.0.2.1/24, its broadcast address, and 2001:db8::1/64
//   - eth1 with 192.0.2.129/25 and its broadcast address
//
// A neighbour on eth0 has 2001:db8::2.
func RunLinks(t *testing.T, open func(t *testing.T) LinkKernel) {
	for _, tt := range linkCases() {
		t.Run(tt.name, func(t *testing.T) { tt.run(t, open(t)) })
	}
	t.Run("interface", func(t *testing.T) { interfaces(t, open(t)) })
	t.Run("on one interface", func(t *testing.T) { onOne(t, open(t)) })
	t.Run("network", func(t *testing.T) { networks(t, open(t)) })
	t.Run("settle", func(t *testing.T) { settles(t, open(t)) })
	t.Run("context that is over", func(t *testing.T) { linksContextOver(t, open(t)) })
}

func (tt linkCase) run(t *testing.T, k LinkKernel) {
	done, err := k.Apply(t.Context(), tt.ops)
	if done != tt.done || !errors.Is(err, tt.err) || (err != nil) != (tt.err != nil) {
		t.Errorf("got %d, %v; want %d, %v", done, err, tt.done, tt.err)
	}
	if err != nil && tt.text != "" && err.Error() != tt.text {
		t.Errorf("got  %s\nwant %s", err, tt.text)
	}
	var got strings.Builder
	for _, ip := range strings.Fields(tt.show) {
		found, err := k.Addresses(t.Context(), netip.MustParseAddr(ip))
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range found {
			got.WriteString(show(a))
		}
	}
	if diff := cmp.Diff(strings.TrimSpace(tt.want), strings.TrimSpace(got.String())); diff != "" {
		t.Errorf("addresses (-want +got):\n%s", diff)
	}
}

func show(a host.Address) string {
	line := add(a).String()
	for _, flag := range []struct {
		on   bool
		name string
	}{{a.Observed.Tentative, "tentative"}, {a.Observed.Duplicate, "duplicate"}, {a.Observed.Silent, "silent"}} {
		if flag.on {
			line += " (" + flag.name + ")"
		}
	}
	return line + "\n"
}

func interfaces(t *testing.T, k LinkKernel) {
	for nic, want := range map[string]host.Interface{"lo": {Name: "lo", Silent: true}, "eth0": {Name: "eth0"}, "eth0@if7": {Name: "eth0"}} {
		if got, err := k.Interface(t.Context(), nic); err != nil || got != want {
			t.Errorf("%s: got %+v, %v", nic, got, err)
		}
	}
	if got, err := k.Gateways(t.Context(), "eth0", false); err != nil || len(got) > 0 {
		t.Errorf("gateways: %v, %v", got, err)
	}
	for _, nic := range []string{"eth9", "an interface with a name that is too long", ""} {
		_, err := k.Interface(t.Context(), nic)
		want := fmt.Sprintf("network interface %q does not exist; create it or give one that ip link shows", nic)
		if !errors.Is(err, host.ErrNotInstalled) || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
}

func onOne(t *testing.T, k LinkKernel) {
	twice := []host.AddressOp{add(addr("eth0", "192.0.2.10/32")), add(addr("eth0", "192.0.2.10/24")), add(addr("eth1", "192.0.2.10/25"))}
	if _, err := k.Apply(t.Context(), twice); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ nic, ip, name, want string }{
		{"eth0", "192.0.2.10", "eth0", "ip addr add 192.0.2.10/24 dev eth0\nip addr add 192.0.2.10/32 dev eth0\n"},
		{"eth1@if3", "192.0.2.10", "eth1", "ip addr add 192.0.2.10/25 dev eth1\n"},
		{"eth1", "192.0.2.1", "eth1", ""},
		{"lo", "::1", "lo", "ip addr add ::1/128 dev lo (silent)\n"},
	} {
		name, found, err := k.On(t.Context(), tt.nic, netip.MustParseAddr(tt.ip))
		var got strings.Builder
		for _, a := range found {
			got.WriteString(show(a))
		}
		if name != tt.name || got.String() != tt.want || err != nil {
			t.Errorf("%s on %s: got %s, %v, %s; want %s, %s", tt.ip, tt.nic, name, err, got.String(), tt.name, tt.want)
		}
	}
	_, _, err := k.On(t.Context(), "eth9", netip.MustParseAddr("192.0.2.10"))
	if want := `network interface "eth9" does not exist; create it or give one that ip link shows`; !errors.Is(err, host.ErrNotInstalled) || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func networks(t *testing.T, k LinkKernel) {
	tests := []struct {
		ip, nic, want string
		bits, proto   int
		err           error
	}{
		{ip: "192.0.2.10", want: "eth0/24 192.0.2.255"},
		{ip: "192.0.2.1", want: "eth0/24 192.0.2.255"},
		{ip: "192.0.2.200", want: "eth1/25 192.0.2.255"},
		{ip: "192.0.2.200", nic: "eth0", want: "eth0/24 192.0.2.255"},
		{ip: "127.0.0.9", want: "lo/8 invalid IP"},
		{ip: "2001:db8::10", want: "eth0/64 invalid IP"},
		{ip: "2001:db8::10", nic: "eth0", want: "eth0/64 invalid IP"},
		{ip: "192.0.2.200", bits: 24, want: "eth0/24 192.0.2.255"},
		{ip: "192.0.2.200", bits: 32, want: "eth1/25 192.0.2.255"},
		{ip: "192.0.2.10", proto: 2, want: "eth0/24 192.0.2.255"},
		{ip: "192.0.2.10", proto: 4, err: host.ErrNoNetwork, want: "no directly connected network holds 192.0.2.10; give nic and cidr_netmask"},
		{ip: "192.0.2.10", bits: 16, err: host.ErrNoNetwork, want: "no directly connected network holds 192.0.2.10/16; give nic and cidr_netmask"},
		{ip: "198.51.100.1", err: host.ErrNoNetwork,
			want: "no directly connected network holds 198.51.100.1; give nic and cidr_netmask"},
		{ip: "192.0.2.10", nic: "eth1", err: host.ErrNoNetwork,
			want: "no directly connected network of eth1 holds 192.0.2.10; give cidr_netmask, or another nic"},
		{ip: "fe80::1", err: host.ErrNoNetwork,
			want: "no directly connected network holds fe80::1; give nic and cidr_netmask"},
		{ip: "192.0.2.10", nic: "eth9", err: host.ErrNotInstalled,
			want: `network interface "eth9" does not exist; create it or give one that ip link shows`},
	}
	for _, tt := range tests {
		network, err := k.Network(t.Context(), host.Search{IP: netip.MustParseAddr(tt.ip), NIC: tt.nic, Bits: tt.bits, Protocol: tt.proto})
		got := fmt.Sprintf("%s/%d %s", network.NIC, network.Bits, network.Broadcast)
		if err != nil {
			got = err.Error()
		}
		if got != tt.want || !errors.Is(err, tt.err) {
			t.Errorf("%s %s\ngot  %s\nwant %s", tt.ip, tt.nic, got, tt.want)
		}
	}
}

func settles(t *testing.T, k LinkKernel) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	good, taken, v4 := addr("eth0", "2001:db8::10/64"), addr("eth0", "2001:db8::2/64"), addr("eth0", "192.0.2.10/24")
	if _, err := k.Apply(ctx, []host.AddressOp{add(good), add(taken), add(v4)}); err != nil {
		t.Fatal(err)
	}
	for _, a := range []host.Address{good, good, v4} {
		if err := k.Settle(ctx, a); err != nil {
			t.Error(err)
		}
	}
	err := k.Settle(ctx, taken)
	if want := "2001:db8::2/64 on eth0: another host has this address (duplicate address detection failed)"; !errors.Is(err, host.ErrDuplicate) || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	for _, a := range []host.Address{addr("eth0", "2001:db8::99/64"), addr("eth0", "2001:db8::10/128"), addr("eth1", "2001:db8::10/64")} {
		if err := k.Settle(ctx, a); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: got %v; want that it is gone", a.Prefix, err)
		}
	}
	tt := linkCase{show: "2001:db8::10 2001:db8::2", want: `
ip addr add 2001:db8::10/64 dev eth0
ip addr add 2001:db8::2/64 dev eth0 (tentative) (duplicate)
`}
	tt.run(t, k)
}

func linksContextOver(t *testing.T, k LinkKernel) {
	ctx, cancel := context.WithTimeout(t.Context(), -time.Second)
	defer cancel()
	a := addr("eth0", "192.0.2.10/24")
	_, first := k.Addresses(ctx, a.Prefix.Addr())
	_, second := k.Network(ctx, host.Search{IP: a.Prefix.Addr()})
	_, third := k.Apply(ctx, []host.AddressOp{add(a)})
	_, fourth := k.Interface(ctx, "eth0")
	_, fifth := k.Gateways(ctx, "eth0", false)
	for _, err := range []error{first, second, third, fourth, fifth, k.Settle(ctx, a)} {
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	}
	if want := "ip addr add 192.0.2.10/24 dev eth0: context deadline exceeded"; third == nil || third.Error() != want {
		t.Errorf("got %v; want %s", third, want)
	}
}

// Package vip is the resource agent for one virtual IP address. Running means
// that the address is on its network interface and usable there; who put it
// there does not matter.
package vip

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"lvs-agents/internal/lvs"
	"lvs-agents/metadata"
	"lvs-agents/ocf"
)

// Kernel is the addresses of the host. Five methods, because finding out where
// an address belongs takes as many looks as putting it there.
type Kernel interface {
	// Addresses returns ip on every interface that has it, whatever the prefix length.
	Addresses(ctx context.Context, ip netip.Addr) ([]lvs.Address, error)
	// Network returns the directly connected network that holds ip, on any
	// interface if nic is empty.
	Network(ctx context.Context, ip netip.Addr, nic string) (lvs.Network, error)
	// Interface returns nil if there is such an interface.
	Interface(ctx context.Context, nic string) error
	Apply(context.Context, []lvs.AddressOp) (int, error)
	// Settle waits for the end of IPv6 duplicate address detection.
	Settle(context.Context, lvs.Address) error
}

// Announcer tells the neighbours which host has an address now. It returns at
// once; the announcements go on behind it.
type Announcer interface {
	Announce(nic string, ip netip.Addr, count int, interval time.Duration) error
}

// Agent is one resource. The exported fields are its parameters.
type Agent struct {
	IP          netip.Addr
	NIC         string
	Bits        int // prefix length; zero for the one of the connected network
	ArpCount    int
	ArpInterval int // milliseconds

	dotted    bool // Bits was given as an IPv4 netmask
	kernel    Kernel
	announcer Announcer
}

var (
	_ ocf.Agent     = (*Agent)(nil)
	_ ocf.Reloader  = (*Agent)(nil)
	_ ocf.Validator = (*Agent)(nil)
)

// New makes an agent with its defaults.
func New(k Kernel, a Announcer) *Agent {
	return &Agent{ArpCount: 5, ArpInterval: 200, kernel: k, announcer: a}
}

// Metadata declares the agent.
func (a *Agent) Metadata() metadata.Agent {
	return metadata.Agent{
		Name:  "vip",
		Short: "Virtual IP address of an LVS director",
		Long: `Puts a virtual IP address on a network interface and announces it, so that clients send to this director: with gratuitous ARP for IPv4, with unsolicited neighbour advertisements for IPv6.

An IPv6 address is used only after duplicate address detection, and it is marked as deprecated so that the director does not choose it as the source of its own connections.

Parameters have the names and meanings that they have in ocf:heartbeat:IPaddr2.`,
		Params:  a.params(),
		Actions: actions,
		Examples: []metadata.Example{
			{Title: "Interface and prefix length from the connected network", ID: "web-vip", Params: [][2]string{{"ip", "192.0.2.10"}}},
			{Title: "Everything given", ID: "web-vip", Params: [][2]string{{"ip", "192.0.2.10"}, {"nic", "eth0"}, {"cidr_netmask", "24"}}},
		},
	}
}

var actions = []metadata.Action{
	{Name: "start", Timeout: 20 * time.Second},
	{Name: "stop", Timeout: 20 * time.Second},
	{Name: "monitor", Timeout: 20 * time.Second, Interval: 10 * time.Second},
	{Name: "reload-agent", Timeout: 20 * time.Second},
	{Name: "validate-all", Timeout: 10 * time.Second},
	{Name: "meta-data", Timeout: 5 * time.Second},
}

func (a *Agent) params() []metadata.Param {
	return []metadata.Param{
		{Name: "ip", Value: metadata.Address(&a.IP), Required: true, UniqueGroup: "ip", Short: "Virtual IP address",
			Long: "The IPv4 or IPv6 address that clients connect to, 192.0.2.10 for example."},
		{Name: "nic", Value: metadata.String(&a.NIC), Short: "Network interface",
			Long: "The interface that gets the address. When unset, the interface whose connected network holds the address. Needed for IPv6 link-local addresses."},
		{Name: "cidr_netmask", Value: prefixLength{&a.Bits, &a.dotted}, Short: "Prefix length",
			Long: "The prefix length of the address, 24 for example, or an IPv4 netmask like 255.255.255.0. When unset, the one of the connected network."},
		{Name: "arp_count", Value: metadata.Integer(&a.ArpCount, 1, 1000), Reloadable: true, Short: "Number of announcements",
			Long: "How many announcements are sent after the address was added. Start does not wait for them."},
		{Name: "arp_interval", Value: metadata.Integer(&a.ArpInterval, 1, 60000), Reloadable: true, Short: "Time between announcements",
			Long: "Milliseconds between two announcements."},
	}
}

// prefixLength is the cidr_netmask of IPaddr2: a length, or a dotted IPv4 mask.
type prefixLength struct {
	target *int
	dotted *bool
}

// Set is part of metadata.Value.
func (p prefixLength) Set(text string) error {
	bits, err := strconv.Atoi(text)
	dotted := err != nil
	if dotted {
		bits, err = lvs.ParseNetmask(text, false)
	}
	if err != nil || bits < 1 || bits > 128 {
		return errors.New("not a prefix length from 1 to 32 (IPv6: 128), nor an IPv4 netmask")
	}
	*p.target, *p.dotted = bits, dotted
	return nil
}

// String is part of metadata.Value.
func (p prefixLength) String() string {
	if *p.target == 0 {
		return ""
	}
	return strconv.Itoa(*p.target)
}

// Type is part of metadata.Value.
func (p prefixLength) Type() string { return "string" }

// Validate checks what parameters say together and, from level 10 on, whether
// this node has a place for the address.
func (a *Agent) Validate(ctx context.Context, _ ocf.Call, level int) error {
	if err := a.consistent(); err != nil || level < 10 {
		return err
	}
	_, err := a.target(ctx)
	return err
}

func (a *Agent) consistent() error {
	switch {
	case a.dotted && a.IP.Is6():
		return ocf.WrongEverywhere(fmt.Errorf("parameter cidr_netmask is an IPv4 netmask, but ip=%s is IPv6; give a prefix length", a.IP))
	case a.impossible():
		return ocf.WrongEverywhere(fmt.Errorf("parameter ip=%s cannot be a virtual address", a.IP))
	case a.Bits > a.IP.BitLen():
		return ocf.WrongEverywhere(fmt.Errorf("parameter cidr_netmask=%d is longer than the address %s; the most is %d", a.Bits, a.IP, a.IP.BitLen()))
	case a.IP.IsMulticast():
		return ocf.WrongEverywhere(fmt.Errorf("parameter ip=%s is a multicast address; an interface cannot have it", a.IP))
	case a.IP.Is6() && a.IP.IsLinkLocalUnicast() && a.NIC == "":
		return ocf.WrongEverywhere(fmt.Errorf("parameter ip=%s is link-local and exists on every interface; give nic", a.IP))
	}
	return nil
}

// impossible tells addresses that every host has, or none.
func (a *Agent) impossible() bool {
	switch a.IP {
	case netip.MustParseAddr("255.255.255.255"), netip.MustParseAddr("127.0.0.1"), netip.IPv6Loopback():
		return true
	}
	return a.IP.Is4() && a.IP.As4()[0] == 0
}

// Start adds the address where it is missing and announces it then. It removes
// nothing that it has not added.
func (a *Agent) Start(ctx context.Context, c ocf.Call) error {
	if err := a.consistent(); err != nil {
		return err
	}
	have, err := a.ours(ctx)
	if err != nil {
		return err
	}
	if i := slices.IndexFunc(have, a.fits); i >= 0 {
		return a.kernel.Settle(ctx, have[i])
	}
	if len(have) > 0 && a.IP.Is6() { // an interface has an IPv6 address once only
		return fmt.Errorf("%s is on %s already, with prefix length %d; give cidr_netmask=%[3]d, or remove it", a.IP, have[0].NIC, have[0].Prefix.Bits())
	}
	target, err := a.target(ctx)
	if err != nil {
		return err
	}
	if err := a.apply(ctx, c, lvs.AddressOp{Verb: lvs.AddAddress, Address: target}); err != nil {
		return err
	}
	if err := a.kernel.Settle(ctx, target); err != nil { // another host has it
		undo := a.apply(context.WithoutCancel(ctx), c, lvs.AddressOp{Verb: lvs.DeleteAddress, Address: target})
		return errors.Join(err, undo)
	}
	if err := a.announcer.Announce(target.NIC, a.IP, a.ArpCount, time.Duration(a.ArpInterval)*time.Millisecond); err != nil {
		c.Log.Warnf("%s is on %s, but was not announced: %v", a.IP, target.NIC, err)
	}
	return nil
}

// target is the address as it shall be on this node.
func (a *Agent) target(ctx context.Context) (lvs.Address, error) {
	target := lvs.Address{NIC: a.NIC, Deprecated: a.IP.Is6() && !a.IP.IsLinkLocalUnicast()}
	if a.NIC != "" {
		if err := a.kernel.Interface(ctx, a.NIC); err != nil {
			return target, err
		}
	}
	bits := a.Bits
	network, err := a.kernel.Network(ctx, a.IP, a.NIC)
	switch {
	case err == nil:
		target.NIC, target.Broadcast = network.NIC, network.Broadcast
		if bits == 0 {
			bits = network.Bits
		}
	case a.NIC == "" || bits == 0 || !errors.Is(err, lvs.ErrNoNetwork): // IPaddr2 needs none either when it is told both
		return target, err
	}
	if bits != network.Bits {
		target.Broadcast = netip.Addr{}
	}
	target.Prefix = netip.PrefixFrom(a.IP, bits)
	return target, nil
}

// ours returns where the address is: on the interface of the parameters, else on
// that of the connected network. Where there is no such network, interfaces
// without neighbours do not count: a real server of the same service has the
// address on lo or on a tunnel.
func (a *Agent) ours(ctx context.Context) ([]lvs.Address, error) {
	if !a.IP.IsValid() || a.impossible() { // a stop or probe with bad parameters
		return nil, nil
	}
	all, err := a.kernel.Addresses(ctx, a.IP)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	nic := a.NIC
	if nic == "" {
		network, err := a.kernel.Network(ctx, a.IP, "")
		if err != nil && !errors.Is(err, lvs.ErrNoNetwork) {
			return nil, err
		}
		nic = network.NIC
	}
	return slices.DeleteFunc(all, func(address lvs.Address) bool {
		if nic == "" {
			return address.Observed.Silent
		}
		return address.NIC != nic
	}), nil
}

func (a *Agent) fits(address lvs.Address) bool {
	return a.Bits == 0 || address.Prefix.Bits() == a.Bits
}

// apply does an op; that it was done before is success.
func (a *Agent) apply(ctx context.Context, c ocf.Call, op lvs.AddressOp) error {
	_, err := a.kernel.Apply(ctx, []lvs.AddressOp{op})
	switch {
	case err == nil:
		c.Log.Info(op)
	case op.Verb == lvs.AddAddress && errors.Is(err, fs.ErrExist):
	case op.Verb == lvs.DeleteAddress && errors.Is(err, fs.ErrNotExist):
	default:
		return err
	}
	return nil
}

// Stop takes the address away, whatever its prefix length.
func (a *Agent) Stop(ctx context.Context, c ocf.Call) error {
	have, err := a.ours(ctx)
	if err != nil {
		return err
	}
	for _, address := range have {
		if err := a.apply(ctx, c, lvs.AddressOp{Verb: lvs.DeleteAddress, Address: address}); err != nil {
			return err
		}
	}
	return nil
}

// ReloadAgent takes over what the next start uses: how it announces.
func (a *Agent) ReloadAgent(ctx context.Context, _ ocf.Call) error {
	have, err := a.ours(ctx)
	if err == nil && len(have) == 0 {
		return ocf.ErrNotRunning
	}
	return err
}

// Monitor looks whether the address is there and usable.
func (a *Agent) Monitor(ctx context.Context, _ ocf.Call) (ocf.Status, error) {
	if !a.IP.IsValid() {
		return ocf.Status{State: ocf.Stopped, Reason: "without an address nothing can be running"}, nil
	}
	have, err := a.ours(ctx)
	if err != nil {
		return ocf.Status{}, err
	}
	if len(have) == 0 {
		return ocf.Status{State: ocf.Stopped, Reason: fmt.Sprintf("%s is not on %s", a.IP, a.place())}, nil
	}
	i := slices.IndexFunc(have, a.fits)
	failed := func(format string, args ...any) (ocf.Status, error) {
		return ocf.Status{State: ocf.Failed, Reason: fmt.Sprintf(format, args...)}, nil
	}
	switch {
	case i < 0:
		return failed("%s is on %s, but with prefix length %d instead of %d", a.IP, have[0].NIC, have[0].Prefix.Bits(), a.Bits)
	case have[i].Observed.Down:
		return failed("%s is down; ip link set dev %[1]s up", have[i].NIC)
	case have[i].Observed.Duplicate:
		return failed("%s on %s is a duplicate: another host has it", a.IP, have[i].NIC)
	case have[i].Observed.Tentative:
		return failed("%s on %s is still in duplicate address detection", a.IP, have[i].NIC)
	}
	return ocf.Status{State: ocf.Running}, nil
}

func (a *Agent) place() string {
	if a.NIC != "" {
		return a.NIC
	}
	return "any interface"
}

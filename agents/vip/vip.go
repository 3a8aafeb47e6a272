// Package vip is the resource agent for one virtual IP address. The resource is running if the
// address is on its network interface and usable there. It does not matter which program has added
// the address.
package vip

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"slices"
	"time"

	"lvs-agents/internal/host"
	"lvs-agents/ocf"
)

// Kernel reads and changes the addresses of the host. It has more than four methods, because the
// agent must read interfaces, networks and routes to find the interface of an address.
type Kernel interface {
	// Enter moves the calling goroutine into a network namespace.
	Enter(namespace string) error
	// Addresses returns the address ip on every interface that has it, with any prefix length.
	Addresses(ctx context.Context, ip netip.Addr) ([]host.Address, error)
	// On returns the address ip on one interface, and the kernel's name of the interface. The error
	// is host.ErrNotInstalled if the interface does not exist.
	On(ctx context.Context, nic string, ip netip.Addr) (name string, found []host.Address, err error)
	// Network returns the directly connected network that holds an address.
	Network(context.Context, host.Search) (host.Network, error)
	// Interface returns the state of an interface. It returns an error if the interface does not
	// exist.
	Interface(ctx context.Context, nic string) (host.Interface, error)
	// Gateways returns the next hops of the default routes over an interface.
	Gateways(ctx context.Context, nic string, v6 bool) ([]netip.Addr, error)
	Apply(context.Context, []host.AddressOp) (int, error)
	// Settle waits for the end of IPv6 duplicate address detection.
	Settle(context.Context, host.Address) error
}

// Neighbours are the other hosts on the link of an interface.
type Neighbours interface {
	// Announce announces an address. It does not wait for the announcements, unless
	// host.Announcement.Wait is set.
	Announce(context.Context, host.Announcement) error
	// Owner returns the link-layer address of another host that has an IPv4 address. It returns an
	// empty text if no host replies within wait.
	Owner(ctx context.Context, nic string, ip netip.Addr, wait time.Duration) (string, error)
	// Answers reports whether a neighbour's reply to a packet from ip reaches this host within
	// wait.
	Answers(ctx context.Context, nic string, ip, neighbour netip.Addr, wait time.Duration) (bool, error)
	// AnnounceTo announces ip to one neighbour only.
	AnnounceTo(ctx context.Context, nic string, ip, neighbour netip.Addr) error
}

// Agent is one resource. The exported fields are its parameters.
type Agent struct {
	IP  netip.Addr
	NIC string
	// Bits is the prefix length. With zero, the agent uses the prefix length of the connected
	// network.
	Bits      int
	Broadcast string
	Label     string

	LVSSupport     bool
	AddrLabel      bool
	AddrLabelValue int
	PreferredLft   string
	NoDAD          bool
	NoPrefixRoute  bool
	FlushRoutes    bool
	Namespace      string
	Protocol       int
	CheckLink      bool

	ArpCount        int
	ArpInterval     int // ArpInterval is the time between announcements in milliseconds.
	ArpCountRefresh int
	RefreshInterval int // RefreshInterval is the time between two refreshes in seconds.
	ArpBackground   bool
	ArpSender       string
	SendArpOpts     string

	RunArping bool
	Duplicate string
	// DuplicateWait is how many milliseconds the agent waits for a reply of another host with the
	// address.
	DuplicateWait int
	Confirm       neighbourList
	// ConfirmWait is how many milliseconds the agent waits for replies of neighbours.
	ConfirmWait   int
	ConfirmPolicy string

	nicLabel  string   // nicLabel is the label in the parameter nic=DEV:LABEL.
	dotted    bool     // dotted says that Bits was given as a dotted IPv4 netmask.
	ignored   []string // ignored are the parameters that were given and have no effect.
	refused   []string // refused are the unsupported parameters that were set to true.
	kernel    Kernel
	neighbour Neighbours
}

var (
	_ ocf.Agent     = (*Agent)(nil)
	_ ocf.Reloader  = (*Agent)(nil)
	_ ocf.Validator = (*Agent)(nil)
)

// New returns an agent with the default values of its parameters.
func New(k Kernel, n Neighbours) *Agent {
	return &Agent{
		AddrLabelValue: 99, PreferredLft: "0", ArpCount: 5, ArpInterval: 200, ArpCountRefresh: 1, RefreshInterval: 30, ArpBackground: true,
		Duplicate: policyOff, DuplicateWait: 600, ConfirmWait: 3000, ConfirmPolicy: policyWarn,
		kernel: k, neighbour: n,
	}
}

// enter moves the calling goroutine into the network namespace of the resource.
func (a *Agent) enter() error {
	if a.Namespace == "" {
		return nil
	}
	return a.kernel.Enter(a.Namespace)
}

// Start adds the address and announces it. If the address is already there, Start announces
// nothing, and only completes and checks its state. Start removes no other address, except from lo
// with lvs_support.
func (a *Agent) Start(ctx context.Context, c ocf.Call) error {
	if err := a.consistent(c); err != nil {
		return err
	}
	a.warnOfParameters(c)
	if err := a.enter(); err != nil {
		return err
	}
	have, err := a.ours(ctx)
	if err != nil {
		return err
	}
	if i := slices.IndexFunc(have, a.fits); i >= 0 {
		return a.again(ctx, c, have[i])
	}
	if len(have) > 0 && a.IP.Is6() { // an interface can have an IPv6 address only with one prefix length
		return fmt.Errorf("%s is on %s already, with prefix length %d; give cidr_netmask=%[3]d, or remove it", a.IP, have[0].NIC, have[0].Prefix.Bits())
	}
	target, err := a.target(ctx)
	if err != nil {
		return err
	}
	return a.claim(ctx, c, target)
}

// again starts a resource whose address already exists, for example after a start that was killed.
func (a *Agent) again(ctx context.Context, c ocf.Call, there host.Address) error {
	if err := a.raise(ctx, c, there); err != nil {
		return err
	}
	if err := a.addPolicy(ctx, c); err != nil {
		return err
	}
	if err := a.renew(ctx, c, there); err != nil {
		return err
	}
	there.Deprecated, _ = a.lifetime()
	a.compare(c, there)
	if err := a.settle(ctx, c, there); err != nil {
		return err
	}
	return a.arrives(ctx, there)
}

// addPolicy adds the address label of an IPv6 address, if lvs_ipv6_addrlabel is set.
func (a *Agent) addPolicy(ctx context.Context, c ocf.Call) error {
	if !a.AddrLabel || !a.IP.Is6() {
		return nil
	}
	return a.apply(ctx, c, a.policy(host.AddPolicy))
}

// claim adds the address to its interface, announces it, and waits for the confirmations of
// neighbours.
func (a *Agent) claim(ctx context.Context, c ocf.Call, target host.Address) error {
	if err := a.raise(ctx, c, target); err != nil {
		return err
	}
	former, err := a.former(ctx, c, target.NIC)
	if err != nil {
		return err
	}
	if err := a.takeOffLoopback(ctx, c); err != nil {
		return err
	}
	if err := a.addPolicy(ctx, c); err != nil {
		return err
	}
	if err := a.apply(ctx, c, host.AddressOp{Verb: host.AddAddress, Address: target}); err != nil {
		return err
	}
	err = a.settle(ctx, c, target)
	if err == nil {
		err = a.arrives(ctx, target)
	}
	if err == nil {
		err = a.announce(ctx, c, target.NIC, former)
	}
	if err != nil {
		undo := a.remove(context.WithoutCancel(ctx), c, []host.Address{target})
		return errors.Join(err, undo)
	}
	return a.confirm(ctx, c, target.NIC)
}

// raise sets the interface of the address up if it is down, as IPaddr2 does. It returns an error if
// it knows why neighbours cannot reach the interface.
func (a *Agent) raise(ctx context.Context, c ocf.Call, target host.Address) error {
	state, err := a.kernel.Interface(ctx, target.NIC)
	if err != nil {
		return err
	}
	if state.Down {
		if err := a.apply(ctx, c, host.AddressOp{Verb: host.RaiseLink, Address: target}); err != nil {
			return err
		}
		if state, err = a.kernel.Interface(ctx, target.NIC); err != nil {
			return err
		}
	}
	if reason := unreachable(state); reason != "" {
		return ocf.Lacking(fmt.Errorf("%s cannot be reached: %s", a.IP, reason))
	}
	switch {
	case !state.NoCarrier:
	case a.CheckLink:
		return ocf.Lacking(fmt.Errorf("%s has no carrier, and check_link_status=true", target.NIC))
	default:
		c.Log.Warnf("%s has no carrier: no client can reach %s on this node yet", target.NIC, a.IP)
	}
	return nil
}

// settle waits until duplicate address detection has finished. If another host has the address,
// settle decides what start does.
func (a *Agent) settle(ctx context.Context, c ocf.Call, there host.Address) error {
	err := a.kernel.Settle(ctx, there)
	switch {
	// The detection begins when the interface has a carrier, and monitor checks its result.
	case errors.Is(err, host.ErrNoCarrier):
		return nil
	case errors.Is(err, host.ErrDuplicate) && (a.Duplicate == policyWarn || a.Duplicate == policyTake):
		c.Log.Warnf("%v; continuing, because duplicate=%s", err, a.Duplicate)
		again := there
		again.NoDAD = true
		if err := a.apply(ctx, c, host.AddressOp{Verb: host.DeleteAddress, Address: there}); err != nil {
			return err
		}
		return a.apply(ctx, c, host.AddressOp{Verb: host.AddAddress, Address: again})
	}
	return err
}

// ours returns the address on the interface in the parameters, or else on the interface of the
// connected network. If there is no such interface, ours returns the address on every interface
// with neighbours, because the interface can have another name now. It leaves out interfaces
// without neighbours, because a real server of the same service has the address on lo or on a
// tunnel.
func (a *Agent) ours(ctx context.Context) ([]host.Address, error) {
	if !a.IP.IsValid() || a.impossible() { // A stop or a probe must also work with wrong parameters.
		return nil, nil
	}
	if a.NIC != "" {
		name, have, err := a.kernel.On(ctx, a.NIC, a.IP)
		if err == nil {
			a.NIC = name
		}
		if !errors.Is(err, host.ErrNotInstalled) {
			return have, err
		}
	}
	all, err := a.kernel.Addresses(ctx, a.IP)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	nic, err := a.home(ctx)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(address host.Address) bool {
		if nic == "" {
			return address.Observed.Silent
		}
		return address.NIC != nic
	}), nil
}

// home returns the interface of the connected network. It returns an empty text if no network holds
// the address. It also returns an empty text if the parameters name an interface, which does not
// exist then.
func (a *Agent) home(ctx context.Context) (string, error) {
	if a.NIC != "" {
		return "", nil
	}
	network, err := a.kernel.Network(ctx, host.Search{IP: a.IP, Protocol: a.Protocol})
	if err != nil && !errors.Is(err, host.ErrNoNetwork) {
		return "", err
	}
	return network.NIC, nil
}

func (a *Agent) fits(address host.Address) bool {
	return a.Bits == 0 || address.Prefix.Bits() == a.Bits
}

// apply makes one change. It also succeeds if the kernel already has the change.
func (a *Agent) apply(ctx context.Context, c ocf.Call, op host.AddressOp) error {
	_, err := a.kernel.Apply(ctx, []host.AddressOp{op})
	added := op.Verb == host.AddAddress || op.Verb == host.AddPolicy
	switch {
	case err == nil:
		c.Log.Info(op)
	case added && errors.Is(err, fs.ErrExist):
	case !added && errors.Is(err, fs.ErrNotExist):
	default:
		return err
	}
	return nil
}

// Stop removes the address, with any prefix length.
func (a *Agent) Stop(ctx context.Context, c ocf.Call) error {
	err := a.enter()
	switch {
	case errors.Is(err, host.ErrNotInstalled): // The network namespace does not exist, so no address can exist in it.
		c.Log.Warn(err)
		return nil
	case err != nil:
		return err
	}
	have, err := a.ours(ctx)
	if err != nil {
		return err
	}
	if err := a.remove(ctx, c, have); err != nil {
		return err
	}
	a.notes(c).forgetProof()
	_ = a.notes(c).announced.Remove()
	a.warnOfStrays(ctx, c)
	return nil
}

// warnOfStrays warns if other interfaces have the address. An operator can have added the address
// by hand, and another node can be about to add it. Stop still succeeds, because the resource's own
// address is removed.
func (a *Agent) warnOfStrays(ctx context.Context, c ocf.Call) {
	for _, address := range a.strays(ctx) {
		c.Log.Warnf("%s is still on %s, which is not the interface of this resource; remove it there", a.IP, address.NIC)
	}
}

// straysTimeout is how long the search for the address on other interfaces can take. No exit code
// depends on the search.
const straysTimeout = time.Second

// strays returns the address on interfaces with neighbours, as far as strays finds it within
// straysTimeout.
func (a *Agent) strays(ctx context.Context) []host.Address {
	if !a.IP.IsValid() || a.impossible() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, straysTimeout)
	defer cancel()
	all, _ := a.kernel.Addresses(ctx, a.IP)
	return slices.DeleteFunc(all, func(address host.Address) bool { return address.Observed.Silent })
}

// remove removes the address and its address label, and adds the address to lo again.
func (a *Agent) remove(ctx context.Context, c ocf.Call, have []host.Address) error {
	if a.AddrLabel && a.IP.Is6() {
		if err := a.apply(ctx, c, a.policy(host.DeletePolicy)); err != nil {
			c.Log.Warn(err) // The label has no effect without its address, so an error is only a warning.
		}
	}
	for _, address := range have {
		if err := a.apply(ctx, c, host.AddressOp{Verb: host.DeleteAddress, Address: address}); err != nil {
			return err
		}
	}
	if a.FlushRoutes && len(have) > 0 {
		if err := a.apply(ctx, c, host.AddressOp{Verb: host.FlushRoutes, Address: have[0]}); err != nil {
			c.Log.Warn(err)
		}
	}
	a.putBackOnLoopback(ctx, c)
	return nil
}

// ReloadAgent changes the lifetime of a running address. The other reloadable parameters apply to
// the next start, stop and monitor.
func (a *Agent) ReloadAgent(ctx context.Context, c ocf.Call) error {
	if err := a.consistent(c); err != nil {
		return err
	}
	if err := a.enter(); err != nil {
		return err
	}
	have, err := a.ours(ctx)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(have, a.fits)
	if i < 0 {
		return ocf.ErrNotRunning
	}
	return a.renew(ctx, c, have[i])
}

// renew sets the lifetime of an existing IPv6 address to the lifetime in the parameters.
func (a *Agent) renew(ctx context.Context, c ocf.Call, there host.Address) error {
	if !a.IP.Is6() {
		return nil
	}
	want := there
	want.Deprecated, want.Preferred = a.lifetime()
	if want.Deprecated == there.Deprecated && want.Preferred == 0 {
		return nil
	}
	return a.apply(ctx, c, host.AddressOp{Verb: host.ChangeAddress, Address: want})
}

// Monitor reports whether the address exists and is usable. If it is, a recurring monitor announces
// the address again when a refresh is due.
func (a *Agent) Monitor(ctx context.Context, c ocf.Call) (ocf.Status, error) {
	if err := a.enter(); err != nil {
		return ocf.Status{}, err
	}
	if missing, err := a.missingOnLoopback(ctx, c); err != nil {
		return ocf.Status{}, err
	} else if len(missing) > 0 && !a.IP.IsValid() {
		return failed("start removed %s from lo, and it is not on lo again yet", missing[0].Prefix.Addr())
	}
	if !a.IP.IsValid() {
		return ocf.Status{State: ocf.Stopped, Reason: "parameter ip has no usable address, so no address can be on an interface"}, nil
	}
	have, err := a.ours(ctx)
	if err != nil {
		return ocf.Status{}, err
	}
	if len(have) == 0 {
		return a.absent(ctx, c)
	}
	status, err := a.statusOf(ctx, have)
	if i := slices.IndexFunc(have, a.fits); c.Probe && i >= 0 {
		a.compare(c, have[i])
	}
	deaf := have[0].Observed.Silent || have[0].Observed.NoCarrier
	if status.State == ocf.Running && c.Recurring && !deaf {
		a.refresh(ctx, c, have[0].NIC)
	}
	return status, err
}

func failed(format string, args ...any) (ocf.Status, error) {
	return ocf.Status{State: ocf.Failed, Reason: fmt.Sprintf(format, args...)}, nil
}

// absent returns the status of a resource whose address is not on its interface, with the reason.
func (a *Agent) absent(ctx context.Context, c ocf.Call) (ocf.Status, error) {
	missing, err := a.missingOnLoopback(ctx, c)
	if err != nil {
		return ocf.Status{}, err
	}
	if len(missing) > 0 {
		return failed("start removed %s from lo, and it is neither on %s nor on lo now; stop adds it to lo again", a.IP, a.place())
	}
	if a.NIC != "" && c.Recurring {
		if _, err := a.kernel.Interface(ctx, a.NIC); errors.Is(err, host.ErrNotInstalled) {
			return failed("%s is gone: %v", a.IP, err)
		}
	}
	for _, other := range a.strays(ctx) {
		return ocf.Status{State: ocf.Stopped, Reason: fmt.Sprintf("%s is on %s, not on %s", a.IP, other.NIC, cmp.Or(a.NIC, "the interface of its network"))}, nil
	}
	return ocf.Status{State: ocf.Stopped, Reason: fmt.Sprintf("%s is not on %s", a.IP, a.place())}, nil
}

// statusOf reports whether neighbours can use the address on its interface.
func (a *Agent) statusOf(ctx context.Context, have []host.Address) (ocf.Status, error) {
	i := slices.IndexFunc(have, a.fits)
	if i < 0 {
		return failed("%s is on %s, but with prefix length %d instead of %d", a.IP, have[0].NIC, have[0].Prefix.Bits(), a.Bits)
	}
	switch seen := have[i].Observed; {
	case a.NIC != "" && have[i].NIC != a.NIC:
		return failed("%s is on %s: network interface %q does not exist any more", a.IP, have[i].NIC, a.NIC)
	case seen.Down:
		return failed("%s is down; ip link set dev %[1]s up", have[i].NIC)
	case seen.NoCarrier && a.CheckLink:
		return failed("%s has no carrier, and check_link_status=true", have[i].NIC)
	case seen.Duplicate:
		return failed("%s on %s is a duplicate: another host has it", a.IP, have[i].NIC)
	case seen.Tentative && !seen.NoCarrier:
		return failed("%s on %s is still in duplicate address detection", a.IP, have[i].NIC)
	case unreachable(seen.Interface) != "":
		return failed("%s on %s cannot be reached: %s", a.IP, have[i].NIC, unreachable(seen.Interface))
	case seen.Diverted != "":
		if err := a.arrives(ctx, have[i]); err != nil {
			return ocf.Status{State: ocf.Failed, Reason: err.Error()}, nil
		}
	}
	return ocf.Status{State: ocf.Running}, nil
}

func (a *Agent) place() string {
	return cmp.Or(a.NIC, "any interface")
}

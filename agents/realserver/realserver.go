// Package realserver is the resource agent for a real server: a host that
// takes packets for virtual IP addresses from a director, and that no neighbour
// may take for the owner of these addresses.
package realserver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"lvs-agents/internal/doctor"
	"lvs-agents/internal/host"
	"lvs-agents/internal/ledger"
	"lvs-agents/internal/state"
	"lvs-agents/metadata"
	"lvs-agents/ocf"
)

// Kernel is the settings of the host. Six methods: two for everything that is
// set, four to find out what to set.
type Kernel interface {
	// Get returns the value of a setting, empty if its place does not exist.
	Get(context.Context, host.Setting) (string, error)
	Set(ctx context.Context, s host.Setting, value string) error
	// Prepare returns nil if the interface exists or could be made to.
	Prepare(ctx context.Context, nic string) error
	// Source returns the host's own address in the network of ip.
	Source(ctx context.Context, ip netip.Addr) (netip.Addr, error)
	// ARPTables returns the name of the arptables program that works here.
	ARPTables(ctx context.Context) (string, error)
	// Addresses returns ip on every interface that has it.
	Addresses(ctx context.Context, ip netip.Addr) ([]host.Address, error)
}

// Prober examines a real server with packets.
type Prober interface {
	Examine(ctx context.Context, held []host.Setting) ([]doctor.Finding, error)
}

// Method is how the host keeps silent about addresses that it has.
type Method string

// The methods.
const (
	BySysctl    Method = "sysctl"
	ByARPTables Method = "arptables"
	ByNFTables  Method = "nftables"
)

// Forward is how packets come from the director, in the words of ldirectord.cf.
type Forward string

// The forwarding methods.
const (
	Gate Forward = "gate"
	IPIP Forward = "ipip"
	Masq Forward = "masq"
)

// Agent is one resource. The exported fields are its parameters.
type Agent struct {
	IP      []netip.Addr
	Forward Forward
	Method  Method
	NIC     string // empty for the usual one: lo, or the tunnel
	Scope   string
	Source  netip.Addr
	Gateway []netip.Addr

	kernel Kernel
	prober Prober
	// released is that this process has put everything back, and could not write that
	// into the ledger.
	released bool
}

var (
	_ ocf.Agent     = (*Agent)(nil)
	_ ocf.Validator = (*Agent)(nil)
)

// New makes an agent with its defaults.
func New(k Kernel, p Prober) *Agent {
	return &Agent{Forward: Gate, Method: BySysctl, Scope: "global", kernel: k, prober: p}
}

// Metadata declares the agent.
func (a *Agent) Metadata() metadata.Agent {
	return metadata.Agent{
		Name:  "realserver",
		Short: "Real server of an LVS cluster",
		Long: `Makes this host a real server: it accepts packets for the virtual IP addresses from the director, and no neighbour learns these addresses from it. Use it as a clone on the real servers, or as the command lvsrs where there is no cluster.

With direct routing (gate) the addresses are put on lo, with tunnels (ipip) on tunl0 or ip6tnl0; ARP is kept silent by sysctls, arptables or nftables. With NAT (masq) the default route goes through the director.

What is changed is noted with the value that was found. Stop puts back exactly that, when the last resource that needs it stops; what somebody else has changed in between is left as it is. A monitor with OCF_CHECK_LEVEL=10 sends packets to prove that the host neither answers for the addresses nor announces them.`,
		Params:    a.params(),
		Arguments: []string{"ip"},
		Actions:   actions,
		Examples: []metadata.Example{
			{Title: "Direct routing", ID: "web-rs", Params: [][2]string{{"ip", "192.0.2.10"}}},
			{Title: "Two addresses, ARP rules in place of sysctls", ID: "web-rs", Params: [][2]string{{"ip", "192.0.2.10 2001:db8::10"}, {"method", "arptables"}}},
			{Title: "Tunnels", ID: "web-rs", Params: [][2]string{{"ip", "192.0.2.10"}, {"forward", "ipip"}}},
			{Title: "NAT, the director has 198.51.100.1 on the inside", ID: "web-rs", Params: [][2]string{{"forward", "masq"}, {"gateway", "198.51.100.1"}}},
		},
	}
}

var actions = []metadata.Action{
	{Name: "start", Timeout: 20 * time.Second},
	{Name: "stop", Timeout: 20 * time.Second},
	{Name: "monitor", Timeout: 20 * time.Second, Interval: 10 * time.Second},
	{Name: "monitor", Timeout: 30 * time.Second, Interval: 5 * time.Minute, Depth: 10},
	{Name: "validate-all", Timeout: 10 * time.Second},
	{Name: "meta-data", Timeout: 5 * time.Second},
}

func (a *Agent) params() []metadata.Param {
	return []metadata.Param{
		{Name: "ip", Value: addresses{&a.IP}, Short: "Virtual IP addresses",
			Long: "One or several IPv4 and IPv6 addresses that clients connect to, separated by blanks or commas. Needed with gate and ipip; masq has no use for it."},
		{Name: "forward", Value: metadata.Select(&a.Forward, string(Gate), string(IPIP), string(Masq)), Short: "Forwarding method of the director",
			Long: "The word behind the real server in the director's configuration: gate (direct routing), ipip (tunnel) or masq (NAT)."},
		{Name: "method", Value: metadata.Select(&a.Method, string(BySysctl), string(ByARPTables), string(ByNFTables)), Short: "Way to keep ARP silent",
			Long: "sysctl sets net.ipv4.conf.all.arp_ignore=1 and arp_announce=2. arptables and nftables drop requests for the address and put the host's own in the place of a virtual sender; they silence the whole host, so use sysctl where the host may also be the director. IPv6 needs none of them: a host answers for the addresses of the interface only on which it is asked."},
		{Name: "nic", Value: metadata.String(&a.NIC), Short: "Interface that gets the addresses",
			Long: "When unset, lo with gate, and with ipip tunl0 for IPv4 and ip6tnl0 for IPv6. An interface with neighbours of its own is refused."},
		{Name: "scope", Value: metadata.Select(&a.Scope, "global", "link", "host"), Short: "Scope of IPv4 addresses",
			Long: "With host the kernel never chooses the address by itself as a source of connections that the host opens. IPv6 addresses are deprecated for the same purpose (preferred_lft 0)."},
		{Name: "source", Value: metadata.Address(&a.Source), Short: "Own IPv4 address for ARP rules",
			Long: "What arptables and nftables put in the place of a virtual address in ARP requests of this host. When unset, the host's address in the network of the virtual one."},
		{Name: "gateway", Value: addresses{&a.Gateway}, Short: "Director's address for masq",
			Long: "With masq the default route goes there: the inside address that moves with the director, one for each family. Other default routes stay behind it."},
	}
}

// addresses is a list of addresses without zones.
type addresses struct{ target *[]netip.Addr }

// Set is part of metadata.Value.
func (v addresses) Set(text string) error {
	var list []netip.Addr
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r == ',' || r == '\t' || r == '\n' }) {
		var ip netip.Addr
		if err := metadata.Address(&ip).Set(word); err != nil {
			return fmt.Errorf("%q is %w", word, err)
		}
		if slices.Contains(list, ip) {
			return fmt.Errorf("%q is there twice", word)
		}
		list = append(list, ip)
	}
	if len(list) == 0 {
		return errors.New("not an IPv4 or IPv6 address")
	}
	*v.target = list
	return nil
}

// String is part of metadata.Value.
func (v addresses) String() string {
	words := make([]string, 0, len(*v.target))
	for _, ip := range *v.target {
		words = append(words, ip.String())
	}
	return strings.Join(words, " ")
}

// Type is part of metadata.Value.
func (v addresses) Type() string { return "string" }

// Validate checks what parameters say together and, from level 10 on, whether
// this host has what they need.
func (a *Agent) Validate(ctx context.Context, _ ocf.Call, level int) error {
	if err := a.consistent(); err != nil || level < 10 {
		return err
	}
	_, err := a.want(ctx)
	return err
}

func (a *Agent) consistent() error {
	wrong := func(format string, args ...any) error { return ocf.WrongEverywhere(fmt.Errorf(format, args...)) }
	switch {
	case a.Forward == Masq && len(a.Gateway) == 0:
		return wrong("parameter gateway is required with forward=masq: the address of the director inside")
	case a.Forward != Masq && len(a.IP) == 0:
		return wrong("parameter ip is required with forward=%s", a.Forward)
	case a.Forward != Masq && len(a.Gateway) > 0:
		return wrong("parameter gateway has no meaning with forward=%s; remove it", a.Forward)
	case a.Source.IsValid() && !a.Source.Is4():
		return wrong("parameter source=%s is no IPv4 address; ARP has no other", a.Source)
	case slices.Contains(a.IP, a.Source):
		return wrong("parameter source=%s is a virtual address; give the host's own", a.Source)
	}
	for _, ip := range a.IP {
		if ip.IsLoopback() || ip.IsMulticast() || ip == netip.AddrFrom4([4]byte{255, 255, 255, 255}) || ip.Is6() && ip.IsLinkLocalUnicast() {
			return wrong("parameter ip=%s cannot be a virtual address", ip)
		}
	}
	for _, ip := range a.Gateway {
		if slices.ContainsFunc(a.Gateway, func(other netip.Addr) bool { return other != ip && other.Is4() == ip.Is4() }) {
			return wrong("parameter gateway has two addresses of one family; give the one that moves with the director")
		}
	}
	return nil
}

// Start gives every setting its value, after it has noted what it found. What
// hides the addresses comes before the addresses.
func (a *Agent) Start(ctx context.Context, c ocf.Call) error {
	if err := a.consistent(); err != nil {
		return err
	}
	want, err := a.want(ctx)
	if err != nil {
		return err
	}
	book, err := open(ctx, c)
	if err != nil {
		return err
	}
	defer book.close()
	if book.damage != nil {
		c.Log.Warnf("%v; what can be read of it counts", book.damage)
	}
	if book.State(c.Instance) == ledger.Stopping { // a stop that was killed: what it has put back is found anew
		if err := a.release(ctx, c, book, book.Held(c.Instance)); err != nil {
			return err
		}
	}
	entries, left, err := a.note(ctx, c, book, want)
	if err != nil {
		return err
	}
	if err := a.release(ctx, c, book, left); err != nil {
		return err
	}
	if len(left) > 0 {
		if err := book.save(); err != nil {
			return err
		}
	}
	for _, e := range entries {
		if err := a.apply(ctx, c, e); err != nil {
			return err
		}
	}
	return nil
}

// note writes into the ledger what is going to be set. left is what the
// resource held before and does not want any more.
func (a *Agent) note(ctx context.Context, c ocf.Call, book *book, want []wanted) (entries, left []ledger.Entry, err error) {
	left = book.Held(c.Instance)
	book.Enter(c.Instance, ledger.Running)
	for _, w := range want {
		found, err := a.kernel.Get(ctx, w.Setting)
		if err != nil {
			return nil, nil, err
		}
		set := w.value
		switch {
		case w.Kind == host.Sysctl && found == "":
			return nil, nil, host.NotInstalled("sysctl %s does not exist here", w.Dotted())
		case w.Fits(found, set):
			set = found
		case found == "": // it is about to come into being
			found = host.Off
		}
		entries = append(entries, book.Hold(c.Instance, w.Setting, found, set))
		left = slices.DeleteFunc(left, func(e ledger.Entry) bool { return e.Setting == w.Setting })
	}
	return entries, left, book.save()
}

// apply gives a setting the value of its entry unless it has one as good.
func (a *Agent) apply(ctx context.Context, c ocf.Call, e ledger.Entry) error {
	have, err := a.kernel.Get(ctx, e.Setting)
	if err != nil || e.Fits(have, e.Set) {
		return err
	}
	if err := a.kernel.Set(ctx, e.Setting, e.Set); err != nil {
		return err
	}
	c.Log.Info(e.Command(e.Set))
	return nil
}

// Stop puts back what start found.
func (a *Agent) Stop(ctx context.Context, c ocf.Call) error {
	book, err := openToStop(ctx, c)
	if err != nil {
		return err
	}
	defer book.close()
	held := book.Held(c.Instance)
	if book.State(c.Instance) == "" && book.damage == nil {
		return nil
	}
	if book.damage != nil {
		held = append(held, a.lost(ctx, book.Ledger)...)
		c.Log.Warnf("%v; what can be read of it is put back", book.damage)
		a.mention(ctx, c, book)
	}
	book.Enter(c.Instance, ledger.Stopping)
	if err := book.save(); err != nil {
		c.Log.Warnf("the ledger cannot say that %s stops: %v", c.Instance, err)
	}
	if err := a.release(ctx, c, book, held); err != nil {
		return err
	}
	book.Leave(c.Instance)
	if err := book.save(); err != nil {
		c.Log.Warnf("everything is put back, but the ledger cannot say so: %v", err)
		a.released = true
	}
	return nil
}

// mention names the sysctls that may have been set by this resource, but of which the
// damaged ledger does not say what they were before.
func (a *Agent) mention(ctx context.Context, c ocf.Call, book *book) {
	want, _ := a.want(ctx) // nothing if the parameters are bad as well
	for _, w := range want {
		known := slices.ContainsFunc(book.Entries, func(e ledger.Entry) bool { return e.Setting == w.Setting })
		if have, err := a.kernel.Get(ctx, w.Setting); err == nil && w.Kind == host.Sysctl && !known && w.Fits(have, w.value) {
			c.Log.Warnf("%s stays %s; the damaged ledger does not say what it was before", w.Setting, have)
		}
	}
}

// lost is what the parameters say that a damaged ledger does not: the ledger
// proves that something was started.
func (a *Agent) lost(ctx context.Context, l ledger.Ledger) []ledger.Entry {
	var lost []ledger.Entry
	want, _ := a.want(ctx) // nothing if the parameters are bad as well
	for _, w := range want {
		known := slices.ContainsFunc(l.Entries, func(e ledger.Entry) bool { return e.Setting == w.Setting })
		if !known && w.Kind != host.Sysctl { // nobody knows what a sysctl was
			lost = append(lost, ledger.Entry{Setting: w.Setting, Found: host.Off, Set: host.On})
		}
	}
	return lost
}

// release puts entries back in the opposite order, but for those that another
// resource needs, and takes the resource off them.
func (a *Agent) release(ctx context.Context, c ocf.Call, book *book, entries []ledger.Entry) error {
	for _, e := range slices.Backward(entries) {
		if !book.Alone(c.Instance, e) {
			continue
		}
		if err := a.restore(ctx, c, e); err != nil {
			return err
		}
	}
	for _, e := range entries {
		book.Drop(c.Instance, e.Setting)
	}
	return nil
}

// remains reports whether the kernel has something that stop would have to put back.
func (a *Agent) remains(ctx context.Context, l ledger.Ledger, id string, entries []ledger.Entry) (bool, error) {
	for _, e := range entries {
		have, err := a.kernel.Get(ctx, e.Setting)
		if err != nil {
			return false, plain(err)
		}
		if l.Alone(id, e) && have == e.Set && have != e.Found {
			return true, nil
		}
	}
	return false, nil
}

func (a *Agent) restore(ctx context.Context, c ocf.Call, e ledger.Entry) error {
	have, err := a.kernel.Get(ctx, e.Setting)
	switch {
	case err != nil:
		return plain(err)
	case have == e.Found || have == "": // the interface is gone, and its settings with it
		return nil
	case have != e.Set:
		c.Log.Warnf("%s is left as it is: its value is %s, but it was %s before start and %s since; somebody else has changed it",
			e.Setting, have, e.Found, e.Set)
		return nil
	}
	if err := a.kernel.Set(ctx, e.Setting, e.Found); err != nil {
		return plain(err)
	}
	c.Log.Info(e.Command(e.Found))
	return nil
}

// plain hides from package ocf that an error is about something missing: what
// cannot be looked at is not gone.
func plain(err error) error {
	if errors.Is(err, errors.ErrUnsupported) {
		return errors.New(err.Error())
	}
	return err
}

// Monitor compares what the resource has set with what is there. From level 10
// on it also sends packets.
func (a *Agent) Monitor(ctx context.Context, c ocf.Call) (ocf.Status, error) {
	failed := func(format string, args ...any) (ocf.Status, error) {
		return ocf.Status{State: ocf.Failed, Reason: fmt.Sprintf(format, args...)}, nil
	}
	store, err := ledger.In(c.StateDir)
	if err != nil {
		return ocf.Status{}, err
	}
	l, err := store.Load()
	switch {
	case errors.Is(err, state.ErrDamaged):
		entries := append(l.Held(c.Instance), a.lost(ctx, l)...)
		return a.unlessGone(ctx, c, l, entries, fmt.Sprintf("%v; stop and start this resource", err))
	case err != nil:
		return ocf.Status{}, err
	case l.State(c.Instance) == "":
		return ocf.Status{State: ocf.Stopped, Reason: "this resource has set nothing on this host"}, nil
	case l.State(c.Instance) == ledger.Stopping:
		return a.unlessGone(ctx, c, l, l.Held(c.Instance), "the last stop did not end; stop it again")
	}
	held := l.Held(c.Instance)
	if a.released {
		return a.unlessGone(ctx, c, l, held, "not everything is put back; stop it again")
	}
	settings := make([]host.Setting, 0, len(held))
	for _, e := range held {
		have, err := a.kernel.Get(ctx, e.Setting)
		if err != nil {
			return ocf.Status{}, plain(err)
		}
		if !e.Fits(have, e.Set) {
			return a.unlessGone(ctx, c, l, held, fmt.Sprintf("%s is %s and not %s; %s", e.Setting, cmp.Or(have, "gone"), e.Set, e.Command(e.Set)))
		}
		settings = append(settings, e.Setting)
	}
	if reason, err := a.silenced(ctx, settings); err != nil {
		return ocf.Status{}, plain(err)
	} else if reason != "" {
		return failed("%s", reason)
	}
	if c.Level < 10 {
		return ocf.Status{State: ocf.Running}, nil
	}
	return a.examine(ctx, settings)
}

// unlessGone is failed for a reason, unless the kernel has nothing of this resource: a
// ledger that could not be written by stop says otherwise.
func (a *Agent) unlessGone(ctx context.Context, c ocf.Call, l ledger.Ledger, entries []ledger.Entry, reason string) (ocf.Status, error) {
	remains, err := a.remains(ctx, l, c.Instance, entries)
	switch {
	case err != nil:
		return ocf.Status{}, err
	case remains:
		return ocf.Status{State: ocf.Failed, Reason: reason}, nil
	}
	return ocf.Status{State: ocf.Stopped, Reason: "nothing of this resource is left on this host: " + reason}, nil
}

func (a *Agent) examine(ctx context.Context, settings []host.Setting) (ocf.Status, error) {
	findings, err := a.prober.Examine(ctx, settings)
	if err != nil {
		return ocf.Status{}, plain(err)
	}
	if len(findings) == 0 {
		return ocf.Status{State: ocf.Running}, nil
	}
	words := make([]string, 0, len(findings))
	for _, f := range findings {
		words = append(words, f.String())
	}
	return ocf.Status{State: ocf.Failed, Reason: strings.Join(words, "; ")}, nil
}

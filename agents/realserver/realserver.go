// Package realserver is the resource agent for a real server: a host that accepts packets for
// virtual IP addresses from a director. Neighbours must not learn these addresses from it.
package realserver

import (
	"context"
	"net/netip"
	"strings"

	"lvs-agents/internal/doctor"
	"lvs-agents/internal/host"
	"lvs-agents/internal/ledger"
	"lvs-agents/ocf"
)

// Kernel is the settings of the host. It has six methods: two read and change settings, and four
// find out which settings are needed.
type Kernel interface {
	ledger.Kernel
	// Prepare creates the interface if it does not exist and can be created. It returns nil if
	// the interface exists then.
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

// Method is the way to keep ARP silent about the virtual addresses.
type Method string

// The methods.
const (
	BySysctl    Method = "sysctl"
	ByARPTables Method = "arptables"
	ByNFTables  Method = "nftables"
)

// Forward is the forwarding method of the director, in the words of ldirectord.cf.
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

	kernel   Kernel
	prober   Prober
	resource *ledger.Resource // of the action that runs; nil before
}

var (
	_ ocf.Agent     = (*Agent)(nil)
	_ ocf.Validator = (*Agent)(nil)
)

// New makes an agent with its defaults.
func New(k Kernel, p Prober) *Agent {
	return &Agent{Forward: Gate, Method: BySysctl, Scope: "global", kernel: k, prober: p}
}

// Start gives every setting its value. Settings that hide the addresses come before the
// addresses.
func (a *Agent) Start(ctx context.Context, c ocf.Call) error {
	if err := a.consistent(); err != nil {
		return err
	}
	return a.held(c).Apply(ctx)
}

// Stop restores the values that start found.
func (a *Agent) Stop(ctx context.Context, c ocf.Call) error { return a.held(c).Release(ctx) }

// held returns the settings of the resource. The monitor after a stop needs the same value as the
// stop.
func (a *Agent) held(c ocf.Call) *ledger.Resource {
	if a.resource == nil {
		a.resource = &ledger.Resource{ID: c.Instance, StateDir: c.StateDir, Kernel: a.kernel, Log: c.Log, Want: a.want}
	}
	return a.resource
}

// Monitor compares the settings of the resource with the kernel. From level 10 on it also sends
// packets.
func (a *Agent) Monitor(ctx context.Context, c ocf.Call) (ocf.Status, error) {
	report, err := a.held(c).Check(ctx)
	switch {
	case err != nil:
		return ocf.Status{}, err
	case report.Gone && report.Fault == "":
		return ocf.Status{State: ocf.Stopped, Reason: "this resource has set nothing on this host"}, nil
	case report.Gone:
		return ocf.Status{State: ocf.Stopped, Reason: "nothing of this resource is left on this host: " + report.Fault}, nil
	case report.Fault != "":
		return ocf.Status{State: ocf.Failed, Reason: report.Fault}, nil
	}
	reason, err := a.silenced(ctx, report.Settings)
	if err == nil && reason == "" && c.Level >= 10 {
		reason, err = a.examine(ctx, report.Settings)
	}
	switch {
	case err != nil:
		return ocf.Status{}, host.Held(err)
	case reason != "":
		return ocf.Status{State: ocf.Failed, Reason: reason}, nil
	}
	return ocf.Status{State: ocf.Running}, nil
}

// examine returns the faults that packets prove, empty for none.
func (a *Agent) examine(ctx context.Context, settings []host.Setting) (string, error) {
	findings, err := a.prober.Examine(ctx, settings)
	words := make([]string, 0, len(findings))
	for _, f := range findings {
		words = append(words, f.String())
	}
	return strings.Join(words, "; "), err
}

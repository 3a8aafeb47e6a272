// Package realserver is the resource agent for a real server: a host that
// takes packets for virtual IP addresses from a director, and that no neighbour
// may take for the owner of these addresses.
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

// Kernel is the settings of the host. Six methods: two for everything that is
// set, four to find out what to set.
type Kernel interface {
	ledger.Kernel
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

// Start gives every setting its value. What hides the addresses comes before the
// addresses.
func (a *Agent) Start(ctx context.Context, c ocf.Call) error {
	if err := a.consistent(); err != nil {
		return err
	}
	return a.held(c).Apply(ctx)
}

// Stop puts back what start found.
func (a *Agent) Stop(ctx context.Context, c ocf.Call) error { return a.held(c).Release(ctx) }

// held is what the resource holds. The monitor after a stop needs the one of the stop.
func (a *Agent) held(c ocf.Call) *ledger.Resource {
	if a.resource == nil {
		a.resource = &ledger.Resource{ID: c.Instance, StateDir: c.StateDir, Kernel: a.kernel, Log: c.Log, Want: a.want}
	}
	return a.resource
}

// Monitor compares what the resource has set with the kernel. From level 10 on it also
// sends packets.
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

// examine returns what packets prove to be wrong, empty for nothing.
func (a *Agent) examine(ctx context.Context, settings []host.Setting) (string, error) {
	findings, err := a.prober.Examine(ctx, settings)
	words := make([]string, 0, len(findings))
	for _, f := range findings {
		words = append(words, f.String())
	}
	return strings.Join(words, "; "), err
}

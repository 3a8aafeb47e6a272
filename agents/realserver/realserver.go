// Package realserver is the resource agent for a real server: a host that accepts packets for
// virtual IP addresses from a director. Neighbours must not learn these addresses from the real
// server.
package realserver

import (
	"context"
	"net/netip"
	"strings"

	"lvs-agents/internal/doctor"
	"lvs-agents/internal/host"
	"lvs-agents/internal/ledger"
	"lvs-agents/internal/lvs"
	"lvs-agents/ocf"
)

// Kernel reads and changes the settings of the host. It has more than four methods, because the
// agent must also create tunnel interfaces, and find addresses and a program of arptables.
type Kernel interface {
	ledger.Kernel
	// Prepare creates the interface if it does not exist and the kernel can create it. It returns
	// nil if the interface exists afterwards.
	Prepare(ctx context.Context, nic string) error
	// Source returns the host's own address in the network that holds ip.
	Source(ctx context.Context, ip netip.Addr) (netip.Addr, error)
	// ARPTables returns the name of the arptables program that works on this kernel.
	ARPTables(ctx context.Context) (string, error)
	// Addresses returns the address ip on every interface that has it.
	Addresses(ctx context.Context, ip netip.Addr) ([]host.Address, error)
}

// Prober finds the faults of a real server by sending packets.
type Prober interface {
	Examine(ctx context.Context, held []host.Setting) ([]doctor.Finding, error)
}

// Method is how the host hides the virtual addresses from ARP queries.
type Method string

// The methods that hide addresses from ARP queries.
const (
	BySysctl    Method = "sysctl"
	ByARPTables Method = "arptables"
	ByNFTables  Method = "nftables"
)

// Forward is the forwarding method of the director, in the words of ldirectord.cf.
type Forward string

// The forwarding methods of a director.
const (
	Gate Forward = "gate"
	IPIP Forward = "ipip"
	GUE  Forward = "gue"
	Masq Forward = "masq"
)

// Agent is one resource of ocf:lvs:realserver. The exported fields are its parameters.
type Agent struct {
	IP      []netip.Addr
	Forward Forward
	Method  Method
	NIC     string // NIC is the interface that gets the addresses. Empty means lo with gate, and a tunnel interface with ipip and gue.
	Scope   string
	Source  netip.Addr
	Gateway []netip.Addr
	Port    int // Port is the UDP port of GUE.

	kernel Kernel
	prober Prober
	// resource has the settings that the resource holds. It is nil until an action sets it.
	resource *ledger.Resource
}

var (
	_ ocf.Agent     = (*Agent)(nil)
	_ ocf.Validator = (*Agent)(nil)
)

// New returns an agent with the default values of its parameters.
func New(k Kernel, p Prober) *Agent {
	return &Agent{Forward: Gate, Method: BySysctl, Scope: "global", Port: lvs.GUEPort, kernel: k, prober: p}
}

// Start sets every setting. Settings that hide the addresses come before the addresses.
func (a *Agent) Start(ctx context.Context, c ocf.Call) error {
	if err := a.consistent(); err != nil {
		return err
	}
	return a.held(c).Apply(ctx)
}

// Stop restores the values that the settings had before the start, see ledger.Resource.Release.
func (a *Agent) Stop(ctx context.Context, c ocf.Call) error { return a.held(c).Release(ctx) }

// held returns the ledger.Resource, which sets and restores the settings of the resource. All parts
// of an action use the same ledger.Resource, because the monitor after a stop must know the result
// of the stop.
func (a *Agent) held(c ocf.Call) *ledger.Resource {
	if a.resource == nil {
		a.resource = &ledger.Resource{ID: c.Instance, Role: ledger.RealServer, StateDir: c.StateDir, Kernel: a.kernel, Log: c.Log, Want: a.want}
	}
	return a.resource
}

// Monitor compares the kernel with the settings of the resource. It also searches for an ARP rule
// that silences a director. With a check level of 10 or more, it sends test packets.
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

// examine sends test packets and returns the faults that they prove. Without a fault, it returns an
// empty text.
func (a *Agent) examine(ctx context.Context, settings []host.Setting) (string, error) {
	findings, err := a.prober.Examine(ctx, settings)
	words := make([]string, 0, len(findings))
	for _, f := range findings {
		words = append(words, f.String())
	}
	return strings.Join(words, "; "), err
}

// Package fwmark is the resource agent for packet marks. A virtual service of a mark balances all
// packets that have the mark: several ports or several addresses become one service.
package fwmark

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"lvs-agents/internal/host"
	"lvs-agents/internal/ledger"
	"lvs-agents/ocf"
)

// Kernel reads and changes marks. It has five methods: two for the ledger, and three that show
// which marks this host can have.
type Kernel interface {
	ledger.Kernel
	// Usable returns nil if this host can have marks of a kind.
	Usable(ctx context.Context, kind host.SettingKind, m host.Marks) error
	// UsesIPTables reports whether the table mangle of legacy iptables has rules.
	UsesIPTables(context.Context) bool
	Interface(ctx context.Context, nic string) (host.Interface, error)
}

// Method is how the packets get their mark.
type Method string

// The methods.
const (
	Auto     Method = "auto"
	NFTables Method = "nftables"
	IPTables Method = "iptables"
)

// Family limits the marks to an address family.
type Family string

// The families.
const (
	Any  Family = "any"
	IPv4 Family = "ipv4"
	IPv6 Family = "ipv6"
)

// Agent is one resource. The exported fields are its parameters.
type Agent struct {
	Mark      uint32
	IP        []netip.Prefix
	Protocols []string
	Ports     []host.Ports
	NIC       string
	Family    Family
	Method    Method

	kernel Kernel
	// resource has the settings of the resource in the current action. It is nil before the action.
	resource *ledger.Resource
}

var (
	_ ocf.Agent     = (*Agent)(nil)
	_ ocf.Reloader  = (*Agent)(nil)
	_ ocf.Validator = (*Agent)(nil)
)

// New returns an agent with the default values of its parameters.
func New(k Kernel) *Agent {
	return &Agent{Protocols: []string{"tcp"}, Family: Any, Method: Auto, kernel: k}
}

// Start sets the rules. It replaces rules of the same kind with the name of the resource, in one
// step.
func (a *Agent) Start(ctx context.Context, c ocf.Call) error {
	if err := a.consistent(); err != nil {
		return err
	}
	if err := a.haveInterface(ctx); err != nil {
		return err
	}
	return a.held(c).Apply(ctx)
}

// ReloadAgent replaces the rules of a running resource in one step. No packet misses its mark.
func (a *Agent) ReloadAgent(ctx context.Context, c ocf.Call) error {
	report, err := a.held(c).Check(ctx)
	if err != nil {
		return err
	}
	if report.Gone {
		return ocf.ErrNotRunning
	}
	return a.Start(ctx, c)
}

// Stop removes every rule with the name of the resource, even if the ledger is missing.
func (a *Agent) Stop(ctx context.Context, c ocf.Call) error {
	err := a.held(c).Release(ctx)
	left, failed := a.left(ctx, c)
	for _, s := range left {
		if wrong := a.kernel.Set(ctx, s, host.Off); wrong != nil {
			failed = errors.Join(failed, wrong)
			continue
		}
		c.Log.Info(s.Command(host.Off))
	}
	return host.Held(errors.Join(err, failed))
}

// left returns the rules in the kernel with the name of the resource. It leaves out a kind of rules
// if the program that reads them is missing. Then only the ledger has the rules of this kind.
func (a *Agent) left(ctx context.Context, c ocf.Call) ([]host.Setting, error) {
	var left []host.Setting
	for _, kind := range kinds {
		s := setting(kind, c)
		value, err := a.kernel.Get(ctx, s)
		switch {
		case errors.Is(err, host.ErrNotInstalled):
		case err != nil:
			return left, err
		case value != host.Off:
			left = append(left, s)
		}
	}
	return left, nil
}

// held returns the ledger.Resource, which sets and removes the rules. All parts of an action use
// the same ledger.Resource, because the monitor after a stop must know the result of the stop.
func (a *Agent) held(c ocf.Call) *ledger.Resource {
	if a.resource == nil {
		a.resource = &ledger.Resource{ID: c.Instance, Role: ledger.Marks, StateDir: c.StateDir, Kernel: a.kernel, Log: c.Log,
			Want: func(ctx context.Context) ([]ledger.Wanted, error) { return a.want(ctx, c) }}
	}
	return a.resource
}

// Monitor compares the rules with the ledger.
func (a *Agent) Monitor(ctx context.Context, c ocf.Call) (ocf.Status, error) {
	report, err := a.held(c).Check(ctx)
	if err != nil {
		return ocf.Status{}, err
	}
	if report.Gone {
		return a.gone(ctx, c, report.Fault)
	}
	if report.Fault != "" {
		return ocf.Status{State: ocf.Failed, Reason: report.Fault}, nil
	}
	return a.arrives(ctx)
}

// gone returns the state of a resource whose rules in the ledger are not in the kernel. The kernel
// can have rules of the same name that the ledger does not have. If the resource should run here,
// lost rules are a failure, because another program has removed them.
func (a *Agent) gone(ctx context.Context, c ocf.Call, fault string) (ocf.Status, error) {
	left, err := a.left(ctx, c)
	switch {
	case err != nil:
		return ocf.Status{}, host.Held(err)
	case len(left) > 0:
		return ocf.Status{State: ocf.Failed, Reason: fmt.Sprintf("%s exists, but no start has recorded it; stop this resource", left[0].Noun())}, nil
	case fault == "":
		return ocf.Status{State: ocf.Stopped, Reason: "this resource marks no packets on this host"}, nil
	}
	state := ocf.Stopped
	if c.Recurring {
		state = ocf.Failed
	}
	return ocf.Status{State: state, Reason: "nothing of this resource is left on this host: " + fault}, nil
}

// arrives checks that the interface of the marks exists.
func (a *Agent) arrives(ctx context.Context) (ocf.Status, error) {
	err := a.haveInterface(ctx)
	switch {
	case errors.Is(err, host.ErrNotInstalled):
		return ocf.Status{State: ocf.Failed, Reason: fmt.Sprintf("interface %s of the marks is gone; create it", a.NIC)}, nil
	case err != nil:
		return ocf.Status{}, err
	}
	return ocf.Status{State: ocf.Running}, nil
}

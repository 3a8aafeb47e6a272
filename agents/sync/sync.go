// Package sync is the resource agent for the synchronisation daemons of IPVS. A master daemon sends
// the connections of this director to the other directors. A backup daemon receives the connections
// of the other directors. The agent runs a master daemon and a backup daemon on every director.
package sync

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"lvs-agents/internal/host"
	"lvs-agents/internal/ledger"
	"lvs-agents/internal/lvs"
	"lvs-agents/metadata"
	"lvs-agents/ocf"
)

// Kernel reads and changes sysctls and synchronisation daemons. It has seven methods: five for the
// settings of the ledger, and two that show whether a daemon can send and receive.
type Kernel interface {
	ledger.Kernel // As a ledger.Kernel, the kernel reads and changes only sysctls.
	SyncDaemons(context.Context) ([]lvs.SyncDaemon, error)
	StartSync(context.Context, lvs.SyncDaemon) error
	StopSync(context.Context, lvs.SyncRole) error
	Interface(ctx context.Context, nic string) (host.Interface, error)
	// Joined reports whether this host receives the datagrams of a group on an interface.
	Joined(nic string, group netip.Addr) (bool, error)
}

// Work starts processes that continue after the action that starts them.
type Work interface {
	// Resync starts a process that sends the connections of this director to the other directors.
	Resync(context.Context) error
	// Measure starts a process that runs a Measurement for a resource.
	Measure(ctx context.Context, id string) error
}

// Agent is one resource. The exported fields are its parameters.
type Agent struct {
	NIC    string
	ID     int
	Group  netip.Addr
	Port   int
	TTL    int
	MaxLen int // MaxLen limits the bytes of a message. 0 means the kernel's own limit.
	Peers  []netip.Addr

	Threshold, Period    int
	RefreshPeriod        int // RefreshPeriod is in seconds.
	Retries              int
	PersistMode          bool
	SockSize, QueueLimit int // SockSize and QueueLimit are -1 for the value of the host.
	Ports                int

	kernel     Kernel
	work       Work
	attributes Attributes
	// resource has the settings that the resource holds. It is nil until an action sets it.
	resource *ledger.Resource
}

var (
	_ ocf.Agent     = (*Agent)(nil)
	_ ocf.Reloader  = (*Agent)(nil)
	_ ocf.Notifier  = (*Agent)(nil)
	_ ocf.Validator = (*Agent)(nil)
)

// New returns an agent with the default values of its parameters.
func New(k Kernel, w Work, n Attributes) *Agent {
	return &Agent{Group: lvs.SyncGroup, Port: lvs.SyncPort, TTL: lvs.SyncTTL,
		RefreshPeriod: 1, Retries: 3, SockSize: -1, QueueLimit: -1, Ports: 1, kernel: k, work: w, attributes: n}
}

// Start sets the sysctls and then starts the daemons. The backup daemon starts first.
func (a *Agent) Start(ctx context.Context, c ocf.Call) error {
	if err := a.consistent(); err != nil {
		return err
	}
	if err := a.usable(ctx); err != nil {
		return err
	}
	if len(a.Peers) > 0 {
		c.Log.Infof("this rule admits only the peers: %s", lvs.SyncFilter(a.daemon(lvs.SyncBackup), a.Ports, strings.ReplaceAll(metadata.Addresses(&a.Peers).String(), " ", ", ")))
	}
	return a.held(c).Apply(ctx)
}

// ReloadAgent sets the sysctls of a running resource without a restart of the daemons.
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

// Stop stops the daemons that the ledger says this resource started, and restores the sysctls. Then
// it removes the node attributes.
func (a *Agent) Stop(ctx context.Context, c ocf.Call) error {
	err := a.held(c).Release(ctx)
	a.unpublish(ctx, c)
	return err
}

// Notify starts a process that sends the connections of this director after a start on another
// node. The daemon of the kernel sends only connections that have traffic.
func (a *Agent) Notify(ctx context.Context, _ ocf.Call, n ocf.Notification) error {
	if n.Type != "post" || n.Operation != "start" || slices.Contains(n.Starting, n.Node) {
		return nil
	}
	return a.work.Resync(ctx)
}

// held returns the ledger.Resource, which sets and restores the settings of the resource. All parts
// of an action use the same ledger.Resource, because the monitor after a stop must know the result
// of the stop.
func (a *Agent) held(c ocf.Call) *ledger.Resource {
	if a.resource == nil {
		a.resource = &ledger.Resource{ID: c.Instance, Role: ledger.Director, StateDir: c.StateDir,
			Kernel: settings{a.kernel}, Log: c.Log, Want: a.want}
	}
	return a.resource
}

// Monitor compares the kernel with the ledger. Then it checks that the daemons of a running
// resource can send and receive. A recurring monitor also starts a Measurement.
func (a *Agent) Monitor(ctx context.Context, c ocf.Call) (ocf.Status, error) {
	report, err := a.held(c).Check(ctx)
	switch {
	case err != nil:
		return ocf.Status{}, err
	case report.Gone && report.Fault == "":
		return ocf.Status{State: ocf.Stopped, Reason: "this resource has started no synchronisation daemon on this host"}, nil
	case report.Gone:
		return ocf.Status{State: ocf.Stopped, Reason: "nothing of this resource is left on this host: " + report.Fault}, nil
	case report.Fault != "":
		return ocf.Status{State: ocf.Failed, Reason: report.Fault}, nil
	}
	reason, err := a.deaf(ctx)
	switch {
	case err != nil:
		return ocf.Status{}, host.Held(err)
	case reason != "":
		return ocf.Status{State: ocf.Failed, Reason: reason}, nil
	}
	if c.Recurring {
		if err := a.work.Measure(ctx, c.Resource()); err != nil {
			c.Log.Warnf("the node attribute %s keeps its value: %v", coverageAttribute(c.Resource()), err)
		}
	}
	return ocf.Status{State: ocf.Running}, nil
}

// deaf returns the reason why a daemon in the kernel cannot send, or cannot receive, and the fix.
// The kernel keeps a daemon whose interface is removed, and the daemon does not use a new interface
// of the same name. Without a fault, deaf returns an empty text. A missing carrier is not a fault:
// the interface of a direct cable has none while the other director is off.
func (a *Agent) deaf(ctx context.Context) (string, error) {
	daemons, err := a.kernel.SyncDaemons(ctx)
	if err != nil {
		return "", err
	}
	for _, d := range daemons {
		nic, err := a.kernel.Interface(ctx, d.Interface)
		switch {
		case errors.Is(err, host.ErrNotInstalled):
			return fmt.Sprintf("interface %s of the %s daemon is gone; create it, then restart this resource", d.Interface, d.Role), nil
		case err != nil:
			return "", err
		case nic.Down:
			return fmt.Sprintf("interface %s of the %s daemon is down; ip link set dev %[1]s up", d.Interface, d.Role), nil
		case d.Role != lvs.SyncBackup:
			continue
		}
		joined, err := a.kernel.Joined(nic.Name, d.Group)
		if err != nil {
			return "", err
		}
		if !joined {
			return fmt.Sprintf("the backup daemon does not receive from %s any more, because the interface was removed and created again; restart this resource", d.Interface), nil
		}
	}
	return "", nil
}

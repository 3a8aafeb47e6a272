// Package ipvs is the resource agent for IPVS virtual services. The resource is running if every
// service in its record is in the kernel. The scheduler and persistence must be as they were
// configured at the last start or reload. The real servers must be so, too, unless a health daemon
// sets them.
package ipvs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"lvs-agents/internal/config"
	"lvs-agents/internal/config/load"
	"lvs-agents/internal/control"
	"lvs-agents/internal/doctor"
	"lvs-agents/internal/host"
	"lvs-agents/internal/ledger"
	"lvs-agents/internal/lvs"
	"lvs-agents/internal/state"
	"lvs-agents/internal/state/record"
	"lvs-agents/ocf"
)

// Kernel reads and changes the IPVS table of the network namespace. Its last two methods are for
// the ledger, which needs both.
type Kernel interface {
	Table(context.Context) (lvs.Table, error)
	// Apply makes the changes in order until one fails. It returns how many changes succeeded.
	Apply(context.Context, []lvs.Op) (int, error)
	// Lacks returns an error if the kernel certainly lacks something that a table needs.
	Lacks(lvs.Table) error
	// Forwards reports whether the host forwards packets of a family.
	Forwards(v6 bool) bool
	// Timeouts returns the timeouts of connections. SetTimeouts changes each
	// timeout that is not zero.
	Timeouts(context.Context) (lvs.Timeouts, error)
	SetTimeouts(context.Context, lvs.Timeouts) error
}

// Host reads and changes the settings of the director, and reads its routes.
type Host interface {
	ledger.Kernel
	doctor.Roads
}

// Agent is one resource. The exported fields are its parameters.
type Agent struct {
	Config     string
	Virtual    string
	Real       string
	Scheduler  lvs.Scheduler
	SchedFlags string
	OPS        string // OPS is yes for one-packet scheduling.
	Persistent int    // Persistent is the persistence in seconds. 0 means none.
	Netmask    string
	Engine     string // Engine is the persistence engine. Empty means none.
	Timeouts   string
	SloppyTCP  string
	SloppySCTP string
	Protocol   string

	ExpireNodestConn, ExpireQuiescentTemplate, ConnReuseMode string

	kernel     Kernel
	host       Host
	daemons    control.Daemons
	attributes Attributes // attributes is nil outside of a cluster.
	now        time.Time
	resolver   config.Resolver
	configDirs []string
	// held has the director's settings that this resource changes. It is nil until an action sets it.
	held *ledger.Resource
	// leftDefaults says that stop has put the defaults of sysctls back, or has failed to.
	leftDefaults bool
}

var (
	_ ocf.Agent     = (*Agent)(nil)
	_ ocf.Reloader  = (*Agent)(nil)
	_ ocf.Validator = (*Agent)(nil)
)

// New returns an agent with the default values of its parameters. The resolver looks up host names
// in the configuration file.
func New(k Kernel, h Host, r config.Resolver) *Agent {
	return &Agent{Scheduler: lvs.DefaultScheduler, kernel: k, host: h, daemons: control.Sockets{}, resolver: r, configDirs: load.Dirs()}
}

// Through makes the agent use the given connections to health daemons, instead of the daemons'
// sockets.
func (a *Agent) Through(d control.Daemons) { a.daemons = d }

// action is one action of the agent, with the records on this node.
type action struct {
	*Agent
	ocf.Call
	store record.Store
}

// begin opens the record store of the node for an action of the agent.
func (a *Agent) begin(c ocf.Call) (action, error) {
	store, err := record.In(c.StateDir)
	return action{a, c, store}, err
}

// Start adds the services to the kernel. It does not change services that already have the
// configured settings.
func (a *Agent) Start(ctx context.Context, c ocf.Call) error {
	want, err := a.want(ctx, c)
	if err != nil {
		return err
	}
	act, err := a.begin(c)
	if err != nil {
		return err
	}
	// Start changes the settings before it writes the record. If start is killed in between, monitor
	// does not report the resource as running.
	if err := act.hold(ctx, want); err != nil {
		return err
	}
	next := record.Record{Services: want.Table, File: want.file, Withheld: withheld(c, want.Table, a.drained(ctx, c))}
	before, err := act.converge(ctx, &next, false)
	a.warn(ctx, c, want.Table)
	if err != nil {
		act.forgetDefaults(ctx)
		return err
	}
	if before.Services.String() == next.Services.String() {
		return nil
	}
	return act.follow(ctx, next)
}

// ReloadAgent changes the services of a running resource without a stop. It then makes the health
// daemon of the services reload.
func (a *Agent) ReloadAgent(ctx context.Context, c ocf.Call) error {
	want, err := a.want(ctx, c)
	if err != nil {
		return err
	}
	act, err := a.begin(c)
	if err != nil {
		return err
	}
	next := record.Record{Services: want.Table, File: want.file, Withheld: withheld(c, want.Table, nil)}
	_, err = act.converge(ctx, &next, true)
	if errors.Is(err, fs.ErrNotExist) {
		return ocf.ErrNotRunning
	}
	if err == nil {
		err = act.hold(ctx, want)
	}
	if err != nil {
		return err
	}
	return act.follow(ctx, next)
}

// Stop removes the services in the record, and puts back the settings in the ledger. It removes
// services that only the parameters name if the record is damaged. Without a record, it only warns
// about these services.
func (a *Agent) Stop(ctx context.Context, c ocf.Call) error {
	act, err := a.begin(c)
	if err != nil {
		return err
	}
	err = errors.Join(act.stopServices(ctx), act.release(ctx))
	act.prefer(ctx, nil)
	a.leftDefaults = true
	return err
}

func (a action) stopServices(ctx context.Context) error {
	unlock, err := a.store.LockInHalf(ctx, a.Instance)
	if err != nil {
		a.Log.Warnf("stop continues without the lock: %v", err)
	}
	defer unlock()
	r, err := a.store.Load(a.Instance)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		a.warnOfUnrecorded(ctx)
		return nil
	case errors.Is(err, state.ErrDamaged):
		a.Log.Warn(err)
		return a.stopDamaged(ctx, r)
	case err != nil:
		return err
	}
	return a.stopRecord(ctx, r)
}

// stopRecord removes the services of a record from the kernel. It removes the record last, because
// a later stop needs the record if this stop fails.
func (a action) stopRecord(ctx context.Context, r record.Record) error {
	r.ID, r.State = a.Instance, record.Stopping
	if err := a.store.Save(r); err != nil {
		a.Log.Warnf("the record could not be marked as stopping: %v", err)
	}
	r.Removing = append(r.Removing, r.Services.IDs()...)
	r.Services = nil
	if err := a.apply(ctx, r); err != nil && !errors.Is(err, host.ErrNotInstalled) {
		return err
	}
	if err := a.store.Remove(a.Instance); err != nil {
		a.Log.Warnf("the services are removed, but their record stays: %v", err)
	}
	return nil
}

// Monitor compares the kernel with the record and with the ledger.
func (a *Agent) Monitor(ctx context.Context, c ocf.Call) (ocf.Status, error) {
	act, err := a.begin(c)
	if err != nil {
		return ocf.Status{}, err
	}
	services, err := act.monitorServices(ctx)
	if err != nil {
		return services, err
	}
	return act.withSettings(ctx, services)
}

// monitorServices compares the IPVS table with the record.
func (a action) monitorServices(ctx context.Context) (ocf.Status, error) {
	r, err := a.store.Load(a.Instance)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		a.logForeign(ctx, a.Call)
		return ocf.Status{State: ocf.Stopped}, nil
	case errors.Is(err, state.ErrDamaged):
		return a.statusOfDamaged(ctx, r, err)
	case err != nil:
		return ocf.Status{}, err
	}
	l, err := leaseOf(a.Call, r)
	if err != nil {
		return ocf.Status{}, err
	}
	have, err := a.kernel.Table(ctx)
	if err != nil {
		return ocf.Status{}, err
	}
	status := statusOf(r, have, l)
	drained := sync.OnceValue(func() map[string]bool { return a.drained(ctx, a.Call) })
	if status.State == ocf.Running && a.Recurring && overdue(a.Call, r, l, drained) {
		return status, a.restore(ctx, drained)
	}
	if idle, _ := l.unserved(r, have); status.State == ocf.Running && len(idle) == 0 {
		l.logRunning(a.Call, r, have)
		return status, nil
	}
	return a.monitorAgain(ctx)
}

// logDown logs a warning that names the services without a good real server.
func logDown(c ocf.Call, down []lvs.ServiceID) {
	if len(down) > 0 {
		c.Log.Warnf("no real server of %s was good when the health daemon last checked them, and there is no fallback", words(down))
	}
}

// heal makes the health daemon of the claimed services repair the table, and reports whether the
// daemon did it. Without heal, the cluster would stop services that the daemon is about to repair.
func (a action) heal(ctx context.Context, holder string) bool {
	const repairTimeout = 2 * time.Second
	limited, cancel := context.WithTimeout(ctx, repairTimeout)
	defer cancel()
	err := a.daemons.Resync(limited, a.StateDir, holder)
	if err != nil {
		a.Log.Warnf("the IPVS table is not as wanted, and the health daemon cannot repair it: %v", err)
	}
	return err == nil
}

// monitorAgain reads the table a second time after the first reading has differed from the record.
// If another process changes the table during a dump, the dump can miss entries (kernel/ipvs,
// Table). So monitorAgain takes the lock, unless another process keeps it too long.
func (a action) monitorAgain(ctx context.Context) (ocf.Status, error) {
	r, err := a.store.Load(a.Instance)
	healed := err == nil && r.Holder != "" && a.heal(ctx, r.Holder)
	if unlock, err := a.store.LockInHalf(ctx, a.Instance); err == nil {
		defer unlock()
	}
	r, err = a.store.Load(a.Instance)
	if errors.Is(err, fs.ErrNotExist) {
		return ocf.Status{State: ocf.Stopped}, nil
	}
	if err != nil {
		return ocf.Status{}, err
	}
	l, err := leaseOf(a.Call, r)
	if err != nil {
		return ocf.Status{}, err
	}
	have, err := a.kernel.Table(ctx)
	if err != nil {
		return ocf.Status{}, err
	}
	status := statusOf(r, have, l)
	idle, down := l.unserved(r, have)
	switch {
	case status.State != ocf.Running:
	case healed: // The daemon has repaired the table, so it keeps the real servers of the idle services out.
		logDown(a.Call, append(idle, down...))
	case len(idle) > 0:
		status = ocf.Status{State: ocf.Failed, Reason: fmt.Sprintf("no real server of %s gets new connections, and no health daemon keeps them out", words(idle))}
	}
	return status, nil
}

// logForeign logs, in a probe, the services in the kernel if this resource has no record. No action
// of this resource changes or removes those services.
func (a *Agent) logForeign(ctx context.Context, c ocf.Call) {
	if !c.Probe {
		return
	}
	if have, err := a.kernel.Table(ctx); err == nil && len(have) > 0 {
		c.Log.Infof("no record of this resource; the kernel has services of others, which stay: %v", have.IDs())
	}
}

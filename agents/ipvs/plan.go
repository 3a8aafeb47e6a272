package ipvs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"lvs-agents/internal/config"
	"lvs-agents/internal/config/load"
	"lvs-agents/internal/config/params"
	"lvs-agents/internal/control"
	"lvs-agents/internal/ledger"
	"lvs-agents/internal/lvs"
	"lvs-agents/internal/state"
	"lvs-agents/internal/state/record"
	"lvs-agents/ocf"
)

// target has what the parameters describe: the wanted services, and the wanted settings of the
// director.
type target struct {
	lvs.Table

	file     record.File     // file is the configuration file of the services. It is empty for parameters.
	settings []ledger.Wanted // settings have the values that the operator has given.
	defaults []ledger.Wanted // defaults have values that suit the services better than the kernel's values.
}

// newTarget returns the target of a table whose services are in a configuration.
func newTarget(table lvs.Table, cfg *config.Config) target {
	given, defaults := cfg.Sysctls()
	return target{Table: table, settings: append(wanted(given), timeouts(cfg)...), defaults: wanted(defaults)}
}

// want returns the target of the resource.
func (a *Agent) want(ctx context.Context, c ocf.Call) (target, error) {
	if err := a.consistent(); err != nil {
		return target{}, err
	}
	if a.Config != "" {
		return a.fromFile(ctx, c)
	}
	return a.fromParams(ctx, c)
}

func (a *Agent) fromParams(ctx context.Context, c ocf.Call) (target, error) {
	cfg, problems := params.Parse("", params.Services{
		Virtual: a.Virtual, Real: a.Real, Scheduler: a.Scheduler, SchedFlags: a.SchedFlags, SloppyTCP: a.SloppyTCP, SloppySCTP: a.SloppySCTP,
		OPS: a.OPS, Persistent: a.Persistent, Netmask: a.Netmask, Engine: a.Engine, Timeouts: a.Timeouts, Protocol: a.Protocol,
		ExpireNodestConn: a.ExpireNodestConn, ExpireQuiescentTemplate: a.ExpireQuiescentTemplate, ConnReuseMode: a.ConnReuseMode,
	})
	if cfg == nil {
		errs := make([]error, len(problems))
		for i, p := range problems {
			errs[i] = errors.New(p.String())
		}
		return target{}, ocf.WrongEverywhere(errors.Join(errs...))
	}
	report(c, cfg.HashWarnings())
	table, problems := cfg.Table(ctx, nil)
	return newTarget(table, cfg), config.Err(problems)
}

func (a *Agent) fromFile(ctx context.Context, c ocf.Call) (target, error) {
	file, err := a.parse(ctx, c)
	if err != nil {
		return target{}, err
	}
	names := config.NewNames(a.resolver)
	if err := names.Restore(c.StateDir); err != nil {
		c.Log.Warnf("the last addresses of host names: %v", err)
	}
	table, problems := file.Config.Table(ctx, names)
	report(c, problems)
	if err := config.Err(problems); err != nil {
		// This error is not a fault of the file: a name server can return the missing addresses later.
		return target{}, err
	}
	if err := names.Save(c.StateDir); err != nil {
		c.Log.Warn(err)
	}
	want := newTarget(table, file.Config)
	want.file = record.File{Path: file.Path, Digest: load.Digest(file.Text)}
	return want, nil
}

// converge changes the kernel until it has the services of the record next. Withheld real servers
// get weight 0. It removes services that only the old record has. It fills in the other fields of
// next, and returns the old record. If needed is set, a missing old record is an error.
func (a action) converge(ctx context.Context, next *record.Record, needed bool) (old record.Record, err error) {
	until, _ := ctx.Deadline()
	unlock, err := a.store.Lock(ctx, a.Instance, until)
	if err != nil {
		return old, err
	}
	defer unlock()
	old, err = a.store.Load(a.Instance)
	switch {
	case err == nil, errors.Is(err, state.ErrDamaged): // The readable part of a damaged record counts like a whole record.
	case errors.Is(err, fs.ErrNotExist) && !needed:
	default:
		return old, err
	}
	if err := a.claim(ctx, old, next.Services); err != nil {
		return old, err
	}
	l, err := leaseOf(a.Call, old)
	if err != nil {
		return old, err
	}
	next.ID, next.State, next.Generation, next.Removing = a.Instance, record.Running, old.Generation+1, gone(old, next.Services)
	l.inherit(next, old)
	if err := a.store.Save(*next); err != nil {
		return old, fmt.Errorf("writing the record: %w", err)
	}
	if err := a.apply(ctx, *next); err != nil || len(next.Removing) == 0 {
		return old, err
	}
	next.Removing = nil
	return old, a.store.Save(*next)
}

// claim returns an error if a wanted service is in the record of another resource. It also returns
// an error if the kernel has a wanted service with other settings, and this resource has no record
// of the service.
func (a action) claim(ctx context.Context, old record.Record, want lvs.Table) error {
	others, unread, err := a.store.Others(a.Instance)
	if err != nil {
		return fmt.Errorf("reading the records of other resources: %w", err)
	}
	for _, path := range a.store.Copies() {
		a.Log.Warnf("%s is a copy of a record and has no effect; remove it", path)
	}
	for _, other := range others {
		scope := other.Scope()
		for _, id := range want.IDs() {
			if scope[id] {
				return fmt.Errorf("virtual service %s already belongs to %s%s; stop %[2]s, or delete the stale record %[4]s if the owner no longer exists",
					id, record.Owner(other.ID), died(a.Call, other.ID), a.store.Path(other.ID))
			}
		}
	}
	have, err := a.kernel.Table(ctx)
	if err != nil {
		return err
	}
	ours := old.Scope()
	for _, w := range want {
		h, exists := have.Lookup(w.ID)
		switch {
		case !exists || ours[w.ID]:
		case len(unread) > 0:
			return fmt.Errorf("virtual service %s exists already and may belong to the damaged record %s; repair or remove the record", w.ID, unread[0])
		case !likeHeld(w, h).Equal(h):
			first := lvs.Plan(lvs.Table{w}, lvs.Table{h}, lvs.Scope{w.ID: true})[0]
			return fmt.Errorf("virtual service %s exists already and differs; ipvsadm -D it, or make it equal (to do: %s)", w.ID, first)
		}
	}
	return nil
}

// likeHeld returns w without its flag for a fallback if h, the service in the kernel, lacks the
// flag. ldirectord and earlier versions set the flag only if the configuration has it. The kernel
// can set the flag while the service has connections.
func likeHeld(w, h lvs.VirtualService) lvs.VirtualService {
	if !h.FallsBack() {
		w.Flags &^= w.Scheduler.Fallback()
	}
	return w
}

// died returns a text for the error message if id is the record of a health daemon that has died.
func died(c ocf.Call, id string) string {
	holder, own := record.HolderOf(id)
	if !own {
		return ""
	}
	if lives, err := control.Lives(c.StateDir, holder); err != nil || lives {
		return ""
	}
	return ", which has died"
}

// gone returns the services that are in the old record, but not in the wanted table.
func gone(old record.Record, want lvs.Table) []lvs.ServiceID {
	var ids []lvs.ServiceID
	for _, id := range append(old.Services.IDs(), old.Removing...) {
		if _, kept := want.Lookup(id); !kept {
			ids = append(ids, id)
		}
	}
	return ids
}

// apply changes the kernel until it has the services of a record. It does not change destinations
// that a health daemon has claimed.
func (a action) apply(ctx context.Context, r record.Record) error {
	done, err := record.Converge(ctx, a.kernel, func(ctx context.Context) ([]lvs.Op, error) {
		have, err := a.kernel.Table(ctx)
		have = have.Unordered(r.Claims()).TrustOrder(r.Target())
		return lvs.Plan(r.Target().Yield(have, r.Claims()), have, r.Scope()), err
	})
	logOps(a.Call, done)
	return err
}

// logOps logs the first 50 operations, and the number of the other operations.
func logOps(c ocf.Call, done []lvs.Op) {
	const enough = 50
	for _, op := range done[:min(len(done), enough)] {
		c.Log.Info(op)
	}
	if len(done) > enough {
		c.Log.Infof("and %d more changes", len(done)-enough)
	}
}

// statusOf plans a start and a stop, and derives the state from the two plans. It ignores the
// destinations of claimed services. It also ignores the order of destinations. A start repairs the
// order, but the recovery of a failed resource would break more connections than a hash table in
// another order.
func statusOf(r record.Record, have lvs.Table, l lease) ocf.Status {
	have = have.Unordered(r.Scope())
	start := lvs.Plan(r.Target().Yield(have, l.claims), have, r.Scope())
	stop := lvs.Plan(nil, have, r.Scope())
	switch lvs.Classify(len(start), len(stop)) {
	case lvs.Absent:
		return ocf.Status{State: ocf.Stopped, Reason: "none of the virtual services is in the kernel any more"}
	case lvs.Present:
		if r.State == record.Running && len(r.Services) > 0 {
			return ocf.Status{State: ocf.Running}
		}
		return ocf.Status{State: ocf.Failed, Reason: "a stop was interrupted"}
	case lvs.Partial:
	}
	reason := fmt.Sprintf("to do: %s", start[0])
	if len(start) > 1 {
		reason += fmt.Sprintf(" (and %d more)", len(start)-1)
	}
	return ocf.Status{State: ocf.Failed, Reason: reason}
}

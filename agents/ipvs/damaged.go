package ipvs

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"lvs-agents/internal/host"
	"lvs-agents/internal/lvs"
	"lvs-agents/internal/state/record"
	"lvs-agents/ocf"
)

// damaged holds the services that a resource can have in the kernel if its record is damaged.
type damaged struct {
	path string
	// ours has the services that the parameters and the readable part of the record name.
	ours   []lvs.ServiceID
	theirs lvs.Scope // theirs has the services that the records of other resources name.
	// complete says that the parameters are valid. Then ours is assumed to have every service of
	// this resource.
	complete bool
}

// guess finds the services that can belong to this resource if its record is damaged.
func (a action) guess(ctx context.Context, r record.Record) damaged {
	d := damaged{path: a.store.Path(a.Instance), theirs: lvs.Scope{}}
	others, _, err := a.store.Others(a.Instance)
	if err != nil {
		a.Log.Warnf("the records of other resources cannot be read: %v", err)
	}
	for _, other := range others {
		for id := range other.Scope() {
			d.theirs[id] = true
		}
	}
	want, err := a.want(ctx, a.Call)
	d.complete = err == nil
	claimed := append(r.Services.IDs(), r.Removing...)
	for _, id := range append(claimed, want.IDs()...) {
		if !d.theirs[id] {
			d.ours = append(d.ours, id)
		}
	}
	return d
}

// unknown returns an error if the kernel has a service that no record and no parameter names. With
// complete, it returns nil.
func (d damaged) unknown(have lvs.Table) error {
	for _, id := range have.IDs() {
		if !d.complete && !d.theirs[id] && !slices.Contains(d.ours, id) {
			return fmt.Errorf("record %s is damaged and may contain %s; ipvsadm -D the services that this resource added, then remove the file", d.path, id)
		}
	}
	return nil
}

// nothingLeft reports whether the kernel has no service that can belong to this resource.
func (d damaged) nothingLeft(have lvs.Table) bool {
	return d.unknown(have) == nil && !slices.ContainsFunc(have.IDs(), func(id lvs.ServiceID) bool { return slices.Contains(d.ours, id) })
}

// stopDamaged removes the services in the readable part of a damaged record and in the parameters.
// If the parameters cannot be used, it succeeds only if every service in the kernel is in a record.
func (a action) stopDamaged(ctx context.Context, r record.Record) error {
	d := a.guess(ctx, r)
	r.Services, r.Removing = nil, d.ours
	have, err := a.kernel.Table(ctx)
	if err != nil && !errors.Is(err, host.ErrNotInstalled) {
		return err
	}
	if err := d.unknown(have); err != nil {
		return err
	}
	return a.stopRecord(ctx, r)
}

// statusOfDamaged compares the kernel with the services in a damaged record and in the parameters.
func (a action) statusOfDamaged(ctx context.Context, r record.Record, why error) (ocf.Status, error) {
	have, err := a.kernel.Table(ctx)
	if err != nil {
		return ocf.Status{}, err
	}
	if a.guess(ctx, r).nothingLeft(have) {
		return ocf.Status{State: ocf.Stopped, Reason: fmt.Sprintf("%v; the kernel has nothing of this resource", why)}, nil
	}
	return ocf.Status{State: ocf.Failed, Reason: why.Error()}, nil
}

// warnOfUnrecorded logs the services of the parameters that are in the kernel. They stay there,
// because without a record the agent cannot find out that this resource has added them.
func (a action) warnOfUnrecorded(ctx context.Context) {
	have, err := a.kernel.Table(ctx)
	if err != nil || len(have) == 0 {
		return
	}
	ours := a.guess(ctx, record.Record{}).ours
	for _, id := range have.IDs() {
		if slices.Contains(ours, id) {
			a.Log.Warnf("no record of this resource, so %s stays; ipvsadm -D it if this resource put it there", id)
		}
	}
}

package ledger

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/sirupsen/logrus"

	"lvs-agents/internal/host"
	"lvs-agents/internal/state"
)

// Kernel is the settings of a host.
type Kernel interface {
	// Get returns the value of a setting, empty if its place does not exist.
	Get(context.Context, host.Setting) (string, error)
	Set(ctx context.Context, s host.Setting, value string) error
}

// Wanted is a setting with the value that it must have.
type Wanted struct {
	host.Setting

	Value string
}

// Resource is one resource that holds settings of this host. Every field is needed.
type Resource struct {
	ID       string // no other resource of this host has it
	StateDir string
	Kernel   Kernel
	Log      logrus.FieldLogger
	// Want returns the settings that the resource needs. The first is set first.
	Want func(context.Context) ([]Wanted, error)

	// released says that Release has put everything back, but could not write the ledger.
	released bool
}

// locked is the ledger while this process has its lock.
type locked struct {
	Ledger

	store  Store
	damage error // why a part of the ledger could not be read
	unlock func()
}

func (l *locked) save() error { return l.store.Save(l.Ledger) }

// open locks and reads the ledger.
func (r *Resource) open(lock func(Store) (func(), error)) (*locked, error) {
	store, err := In(r.StateDir)
	if err != nil {
		return nil, err
	}
	unlock, err := lock(store)
	if err != nil {
		return nil, err
	}
	ledger, err := store.Load()
	if err != nil && !errors.Is(err, state.ErrDamaged) {
		unlock()
		return nil, err
	}
	return &locked{ledger, store, err, unlock}, nil
}

// Apply gives every setting that the resource needs its value, after it has written into
// the ledger which value it found. It puts back what the resource held before and does
// not need any more.
func (r *Resource) Apply(ctx context.Context) error {
	want, err := r.Want(ctx)
	if err != nil {
		return err
	}
	l, err := r.open(func(s Store) (func(), error) {
		until, _ := ctx.Deadline()
		return s.Lock(ctx, r.ID, until)
	})
	if err != nil {
		return err
	}
	defer l.unlock()
	if l.damage != nil {
		r.Log.Warnf("%v; what can be read of it counts", l.damage)
	}
	if l.State(r.ID) == Stopping { // a stop that was killed: its next holder finds what it has put back
		if err := r.putBack(ctx, l, l.Held(r.ID)); err != nil {
			return err
		}
	}
	entries, left, err := r.enter(ctx, l, want)
	if err != nil {
		return err
	}
	if err := r.putBack(ctx, l, left); err != nil {
		return err
	}
	if len(left) > 0 {
		if err := l.save(); err != nil {
			return err
		}
	}
	for _, e := range entries {
		if err := r.set(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

// enter writes the settings that Apply will change into the ledger. left is the settings that the
// resource held before and does not want any more.
func (r *Resource) enter(ctx context.Context, l *locked, want []Wanted) (entries, left []Entry, err error) {
	left = l.Held(r.ID)
	l.Enter(r.ID, Running)
	for _, w := range want {
		found, err := r.Kernel.Get(ctx, w.Setting)
		if err != nil {
			return nil, nil, err
		}
		set := w.Value
		switch {
		case !w.Switch() && found == "":
			return nil, nil, host.NotInstalled("sysctl %s does not exist here", w.Dotted())
		case w.Fits(found, set):
			set = found
		case found == "": // Apply is about to create it
			found = host.Off
		}
		entries = append(entries, l.Hold(r.ID, w.Setting, found, set))
		left = slices.DeleteFunc(left, func(e Entry) bool { return e.Setting == w.Setting })
	}
	return entries, left, l.save()
}

// set gives a setting the value of its entry, unless it has an equivalent value.
func (r *Resource) set(ctx context.Context, e Entry) error {
	have, err := r.Kernel.Get(ctx, e.Setting)
	if err != nil || e.Fits(have, e.Set) {
		return err
	}
	if err := r.Kernel.Set(ctx, e.Setting, e.Set); err != nil {
		return err
	}
	r.Log.Info(e.Command(e.Set))
	return nil
}

// Release restores the values that Apply found, except for settings that another resource needs.
// It continues without the lock after half of the time. It needs Want only for a damaged ledger.
func (r *Resource) Release(ctx context.Context) error {
	l, err := r.open(func(s Store) (func(), error) {
		unlock, err := s.LockInHalf(ctx, r.ID)
		if err != nil {
			r.Log.Warnf("stopping without the lock: %v", err)
		}
		return unlock, nil
	})
	if err != nil {
		return err
	}
	defer l.unlock()
	held := l.Held(r.ID)
	if l.State(r.ID) == "" && l.damage == nil {
		return nil
	}
	if l.damage != nil {
		lost, unknown := r.lost(ctx, l.Ledger)
		held = append(held, lost...)
		r.Log.Warnf("%v; what can be read of it is put back", l.damage)
		r.warnOf(ctx, unknown)
	}
	l.Enter(r.ID, Stopping)
	if err := l.save(); err != nil {
		r.Log.Warnf("the ledger does not record that %s stops: %v", r.ID, err)
	}
	if err := r.putBack(ctx, l, held); err != nil {
		return err
	}
	l.Leave(r.ID)
	if err := l.save(); err != nil {
		r.Log.Warnf("every setting is put back, but the ledger does not record it: %v", err)
		r.released = true
	}
	return nil
}

// lost returns the settings that the resource wants and that a damaged ledger lacks: the ledger
// proves that the resource was started. unknown are settings whose earlier value only the ledger
// had.
func (r *Resource) lost(ctx context.Context, ledger Ledger) (lost []Entry, unknown []Wanted) {
	want, _ := r.Want(ctx) // empty if the parameters are bad as well
	for _, w := range want {
		known := slices.ContainsFunc(ledger.Entries, func(e Entry) bool { return e.Setting == w.Setting })
		switch {
		case known:
		case w.Switch():
			lost = append(lost, Entry{Setting: w.Setting, Found: host.Off, Set: host.On})
		default:
			unknown = append(unknown, w)
		}
	}
	return lost, unknown
}

// warnOf logs the settings that stay because their earlier value is unknown.
func (r *Resource) warnOf(ctx context.Context, unknown []Wanted) {
	for _, w := range unknown {
		if have, err := r.Kernel.Get(ctx, w.Setting); err == nil && w.Fits(have, w.Value) {
			r.Log.Warnf("%s stays %s; the damaged ledger does not say what it was before", w.Setting, have)
		}
	}
}

// putBack restores the settings of entries in reverse order, except for settings that another
// resource needs. It removes the resource from all of the entries.
func (r *Resource) putBack(ctx context.Context, l *locked, entries []Entry) error {
	for _, e := range slices.Backward(entries) {
		if !l.Alone(r.ID, e) {
			continue
		}
		if err := r.restore(ctx, e); err != nil {
			return host.Held(err)
		}
	}
	for _, e := range entries {
		l.Drop(r.ID, e.Setting)
	}
	return nil
}

func (r *Resource) restore(ctx context.Context, e Entry) error {
	have, err := r.Kernel.Get(ctx, e.Setting)
	switch {
	case err != nil:
		return err
	case have == e.Found || have == "": // the interface and its settings are gone
		return nil
	case have != e.Set:
		r.Log.Warnf("%s is left as it is: its value is %s, but it was %s before start and %s since; another program has changed it",
			e.Setting, have, e.Found, e.Set)
		return nil
	}
	if err := r.Kernel.Set(ctx, e.Setting, e.Found); err != nil {
		return err
	}
	r.Log.Info(e.Command(e.Found))
	return nil
}

// Report is the state of a resource on this host.
type Report struct {
	// Fault says what differs from the state after Apply, and the fix. It is empty for no
	// difference.
	Fault string
	// Gone says that nothing of the resource is left. Fault can be set as well, if the ledger
	// could not be written.
	Gone     bool
	Settings []host.Setting // of the resource, unless there is a fault
}

// Check compares the settings that the resource holds with the kernel. It changes
// nothing and takes no lock.
func (r *Resource) Check(ctx context.Context) (Report, error) {
	store, err := In(r.StateDir)
	if err != nil {
		return Report{}, err
	}
	l, err := store.Load()
	held := l.Held(r.ID)
	switch {
	case errors.Is(err, state.ErrDamaged):
		lost, _ := r.lost(ctx, l)
		return r.fault(ctx, l, append(held, lost...), fmt.Sprintf("%v; stop and start this resource", err))
	case err != nil:
		return Report{}, err
	case l.State(r.ID) == "":
		return Report{Gone: true}, nil
	case l.State(r.ID) == Stopping:
		return r.fault(ctx, l, held, "the last stop did not end; stop it again")
	case r.released:
		return r.fault(ctx, l, held, "not everything is put back; stop it again")
	}
	var report Report
	for _, e := range held {
		have, err := r.Kernel.Get(ctx, e.Setting)
		if err != nil {
			return Report{}, host.Held(err)
		}
		if !e.Fits(have, e.Set) {
			return r.fault(ctx, l, held, fmt.Sprintf("%s is %s and not %s; %s", e.Setting, cmp.Or(have, "gone"), e.Set, e.Command(e.Set)))
		}
		report.Settings = append(report.Settings, e.Setting)
	}
	return report, nil
}

// fault returns the report of a fault. Gone is set if the kernel has nothing that Release would
// have to put back.
func (r *Resource) fault(ctx context.Context, l Ledger, entries []Entry, fault string) (Report, error) {
	for _, e := range entries {
		have, err := r.Kernel.Get(ctx, e.Setting)
		if err != nil {
			return Report{}, host.Held(err)
		}
		if l.Alone(r.ID, e) && have == e.Set && have != e.Found {
			return Report{Fault: fault}, nil
		}
	}
	return Report{Fault: fault, Gone: true}, nil
}

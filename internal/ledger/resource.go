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

// Kernel reads and changes the settings of a host.
type Kernel interface {
	// Get returns the value of a setting. The value is empty if the sysctl or the interface of the
	// setting does not exist.
	Get(context.Context, host.Setting) (string, error)
	Set(ctx context.Context, s host.Setting, value string) error
}

// Wanted is a setting and the value that a resource needs.
type Wanted struct {
	host.Setting

	Value string
}

// Resource is one resource that holds settings of this host. Every exported field must be set.
type Resource struct {
	ID       string // ID is the id of the resource. It is unique on this host.
	Role     Role
	StateDir string
	Kernel   Kernel
	Log      logrus.FieldLogger
	// Want returns the settings that the resource needs. Apply sets them in this order.
	Want func(context.Context) ([]Wanted, error)

	// released says that Release has put all values back, but could not write the ledger.
	released bool
}

// locked is the ledger of a process that holds the lock of the ledger. Release can continue without
// the lock.
type locked struct {
	Ledger

	store  Store
	damage error // damage is why a part of the ledger could not be read. Nil means no damage.
	unlock func()
}

func (l *locked) save() error { return l.store.Save(l.Ledger) }

// open takes the lock and reads the ledger. A damaged ledger is not an error here.
func (r *Resource) open(lock func(Store) (func(), error)) (*locked, error) {
	store, err := In(r.StateDir, r.Role)
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

// Apply gives every setting that the resource needs its value. Before that, it writes the values
// that it found into the ledger. It puts back settings that the resource held before and does not
// need any more.
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
		r.Log.Warnf("%v; the agent uses the part that it can read", l.damage)
	}
	if err := l.conflict(r.ID, want); err != nil {
		return err
	}
	// An earlier stop did not end. Put back the settings that it left, so that enter finds the
	// values from before the start.
	if l.State(r.ID) == Stopping {
		if err := r.putBack(ctx, l, l.Held(r.ID)); err != nil {
			return err
		}
	}
	if err := r.leave(ctx, l, outdated(l.Held(r.ID), want)); err != nil {
		return err
	}
	entries, left, err := r.enter(ctx, l, want)
	if err != nil {
		return err
	}
	if err := r.leave(ctx, l, left); err != nil {
		return err
	}
	for _, e := range entries {
		if err := r.set(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

// outdated returns the held entries whose settings the resource now needs with another value.
// Before Apply sets the other value, it puts back the value that it found. So the kernel always has
// a value that is in the ledger, even if the process is killed. A setting with the name of its
// resource needs no such step, and gets its other value without a gap.
func outdated(held []Entry, want []Wanted) []Entry {
	return slices.DeleteFunc(held, func(e Entry) bool {
		return e.Named() || !slices.ContainsFunc(want, func(w Wanted) bool { return w.Setting == e.Setting && !e.Fits(e.Set, w.Value) })
	})
}

// leave puts back the settings of entries and writes the ledger without them.
func (r *Resource) leave(ctx context.Context, l *locked, entries []Entry) error {
	if len(entries) == 0 {
		return nil
	}
	if err := r.putBack(ctx, l, entries); err != nil {
		return err
	}
	return l.save()
}

// enter writes the settings that Apply will change into the ledger, and returns their entries. The
// list left has the entries that the resource held before and does not need any more.
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
			return nil, nil, host.NotInstalled("sysctl %s does not exist here; lvsctl doctor --kernel shows what this kernel has", w.Dotted())
		case w.Named():
			found = host.Off
		case w.Fits(found, set):
			set = found
		case w.Exclusive() && found != "" && found != host.Off && !slices.ContainsFunc(left, func(e Entry) bool { return e.Setting == w.Setting }):
			return nil, nil, fmt.Errorf("%s is %s already, and no resource has started it; %s", w.Noun(), found, w.Command(host.Off))
		case found == "": // the setting does not exist yet, and Apply creates it
			found = host.Off
		}
		entries = append(entries, l.Hold(r.ID, w.Setting, found, set))
		left = slices.DeleteFunc(left, func(e Entry) bool { return e.Setting == w.Setting })
	}
	return entries, left, l.save()
}

// set gives a setting the value of its entry. It changes nothing if the setting has an equivalent
// value.
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

// Release puts back the values that Apply found, except for settings that another running resource
// needs, or that another program has changed. If Release does not get the lock within half of its
// time, it continues without the lock. It uses Want only if the ledger is damaged.
func (r *Resource) Release(ctx context.Context) error {
	l, err := r.open(func(s Store) (func(), error) {
		unlock, err := s.LockInHalf(ctx, r.ID)
		if err != nil {
			r.Log.Warnf("stop continues without the lock: %v", err)
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
		r.Log.Warnf("%v; the agent puts back the settings that it can read", l.damage)
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
		r.Log.Warnf("this resource has put back its settings, but the ledger does not record it: %v", err)
		r.released = true
	}
	return nil
}

// lost compares the settings that the resource needs with a damaged ledger. The list lost has an
// entry for each missing setting that can be on or off. Its earlier value is assumed to be off. The
// list also has an entry for a synchronisation daemon if the ledger has other options than the
// parameters. The list unknown has the other missing settings, because only the ledger had their
// earlier value.
func (r *Resource) lost(ctx context.Context, ledger Ledger) (lost []Entry, unknown []Wanted) {
	want, _ := r.Want(ctx) // want is empty if the parameters of the resource are also wrong
	for _, w := range want {
		known := slices.ContainsFunc(ledger.Entries, func(e Entry) bool {
			return e.Setting == w.Setting && (!e.Exclusive() || e.Same(e.Set, w.Value))
		})
		switch {
		case known:
		case w.Switch():
			lost = append(lost, Entry{Setting: w.Setting, Found: host.Off, Set: w.Value})
		default:
			unknown = append(unknown, w)
		}
	}
	return lost, unknown
}

// warnOf logs the settings that keep their value, because the damaged ledger does not have the
// value from before.
func (r *Resource) warnOf(ctx context.Context, unknown []Wanted) {
	for _, w := range unknown {
		if have, err := r.Kernel.Get(ctx, w.Setting); err == nil && w.Fits(have, w.Value) {
			r.Log.Warnf("%s stays %s; the damaged ledger does not say what it was before", w.Setting, have)
		}
	}
}

// putBack puts back the settings of entries, the last entry first. It leaves settings that another
// running resource holds. After that, it removes the resource from the holders of all entries.
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
	// an empty value means that the sysctl or the interface of the setting does not exist
	case e.Same(have, e.Found) || have == "":
		return nil
	case !e.Same(have, e.Set) && !e.Named():
		r.Log.Warnf("%s is left as it is: its value is %s, but it was %s before start and %s since; another program has changed it",
			e.Noun(), have, e.Found, e.Set)
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
	// Fault says what differs from the state after Apply, and how to repair it. It is empty if
	// nothing differs.
	Fault string
	// Gone says that no change of the resource is left in the kernel. Fault can be set at the same
	// time, for example if Release could not write the ledger.
	Gone bool
	// Settings are the settings that the resource holds. They are nil if there is a fault.
	Settings []host.Setting
}

// Check compares the settings that the resource holds with the kernel. It changes nothing and takes
// no lock.
func (r *Resource) Check(ctx context.Context) (Report, error) {
	store, err := In(r.StateDir, r.Role)
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
			fix := e.Command(e.Set)
			if (e.Exclusive() || e.Named()) && have != "" && have != host.Off {
				fix = e.Command(host.Off) + " && " + fix
			}
			return r.fault(ctx, l, held, fmt.Sprintf("%s is %s and not %s; %s", e.Noun(), cmp.Or(have, "gone"), e.Set, fix))
		}
		report.Settings = append(report.Settings, e.Setting)
	}
	return report, nil
}

// fault returns the report of a fault. Gone is true if the kernel has no value that Release would
// put back.
func (r *Resource) fault(ctx context.Context, l Ledger, entries []Entry, fault string) (Report, error) {
	for _, e := range entries {
		have, err := r.Kernel.Get(ctx, e.Setting)
		if err != nil {
			return Report{}, host.Held(err)
		}
		if l.Alone(r.ID, e) && (e.Same(have, e.Set) || e.Named()) && !e.Same(have, e.Found) {
			return Report{Fault: fault}, nil
		}
	}
	return Report{Fault: fault, Gone: true}, nil
}

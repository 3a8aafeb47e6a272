// Package ledger changes settings of a host for several resources that can need the same setting.
// An agent lists the settings that it needs and gives them to a Resource.
//
// The ledger is a file that says which resource holds which setting, and which value the setting
// had before. When the last holder stops, its Resource puts this value back, unless another program
// has changed the setting. A Resource writes the ledger before it changes the kernel. So a killed
// process leaves no change that the ledger lacks.
package ledger

import (
	"fmt"
	"slices"

	"lvs-agents/internal/host"
)

// State is the state that the last action of a resource leads to.
type State string

// The states of a holder. A holder stays Stopping if its stop was interrupted.
const (
	Running  State = "running"
	Stopping State = "stopping"
)

// Ledger has the settings that resources hold on this host, with the values before the first
// change. All resources of one Role use one ledger, because a setting can belong to several
// resources.
type Ledger struct {
	// Holders are the resources that hold settings.
	Holders []Holder
	// Entries are the held settings, sorted by the time when a resource first held them.
	Entries []Entry
}

// Holder is a resource that holds settings.
type Holder struct {
	ID    string
	State State
}

// Entry is one setting that resources hold.
type Entry struct {
	host.Setting

	// Found is the value that the setting had before the first holder changed it. Set is the value
	// that the setting has while it has a holder.
	Found, Set string
	By         []string // By has the ids of the resources that hold the setting. It is never empty.
}

// State returns the state of a resource. It is empty if the resource is not in the ledger.
func (l *Ledger) State(id string) State {
	for _, h := range l.Holders {
		if h.ID == id {
			return h.State
		}
	}
	return ""
}

// Enter adds a resource to the ledger with a state, or changes its state.
func (l *Ledger) Enter(id string, state State) {
	i := slices.IndexFunc(l.Holders, func(h Holder) bool { return h.ID == id })
	if i < 0 {
		l.Holders = append(l.Holders, Holder{id, state})
		return
	}
	l.Holders[i].State = state
}

// Hold adds a resource to the holders of a setting and returns the entry. If the setting has no
// holder yet, Hold stores its present value found and the value set that it will get. A setting
// with the name of its resource always gets the value set.
func (l *Ledger) Hold(id string, s host.Setting, found, set string) Entry {
	i := slices.IndexFunc(l.Entries, func(e Entry) bool { return e.Setting == s })
	if i < 0 {
		i = len(l.Entries)
		l.Entries = append(l.Entries, Entry{Setting: s, Found: found, Set: set})
	}
	e := &l.Entries[i]
	if s.Named() {
		e.Set = set
	}
	if !slices.Contains(e.By, id) {
		e.By = append(slices.Clone(e.By), id)
	}
	return *e
}

// conflict returns an error if another resource holds a wanted setting with another value. For a
// setting that only one resource can hold, it returns an error for every value. It also returns an
// error if another resource gives the same packets another mark.
func (l *Ledger) conflict(id string, want []Wanted) error {
	var differs error
	for _, w := range want {
		if err := l.contradiction(id, w); err != nil {
			return err
		}
		i := slices.IndexFunc(l.Entries, func(e Entry) bool { return e.Setting == w.Setting })
		if i < 0 {
			continue
		}
		e := l.Entries[i]
		other := slices.IndexFunc(e.By, func(by string) bool { return by != id })
		switch {
		case other < 0:
		case e.Exclusive():
			return fmt.Errorf("%s belongs to resource %q, and a network namespace has only one; stop that resource, with its agent if the cluster no longer has it", e.Noun(), e.By[other])
		case !e.Fits(e.Set, w.Value):
			differs = fmt.Errorf("%s is %s for resource %q, and this resource needs %s; give both resources the same value", e.Noun(), e.Set, e.By[other], w.Value)
		}
	}
	return differs
}

// contradiction returns an error if another resource gives packets of a setting another mark.
func (l *Ledger) contradiction(id string, w Wanted) error {
	for _, e := range l.Entries {
		if other := slices.IndexFunc(e.By, func(by string) bool { return by != id }); other >= 0 && w.Contradicts(w.Value, e.Setting, e.Set) {
			return fmt.Errorf("resource %q gives some of the same packets another mark (%s, and this resource %s); change the parameters of one of them", e.By[other], e.Set, w.Value)
		}
	}
	return nil
}

// Held returns the entries that a resource holds, in the order of the ledger.
func (l *Ledger) Held(id string) []Entry {
	var held []Entry
	for _, e := range l.Entries {
		if slices.Contains(e.By, id) {
			held = append(held, e)
		}
	}
	return held
}

// Alone reports whether id is the only running resource that holds the entry.
func (l *Ledger) Alone(id string, e Entry) bool {
	return !slices.ContainsFunc(e.By, func(other string) bool { return other != id && l.State(other) == Running })
}

// Drop removes a resource from the holders of a setting. It removes the entry if no holder is left.
func (l *Ledger) Drop(id string, s host.Setting) {
	var left []Entry
	for _, e := range l.Entries {
		if e.Setting == s {
			e.By = slices.DeleteFunc(slices.Clone(e.By), func(by string) bool { return by == id })
		}
		if len(e.By) > 0 {
			left = append(left, e)
		}
	}
	l.Entries = left
}

// Leave removes a resource and its entries from the ledger. Entries with other holders stay.
func (l *Ledger) Leave(id string) {
	for _, e := range l.Held(id) {
		l.Drop(id, e.Setting)
	}
	l.Holders = slices.DeleteFunc(slices.Clone(l.Holders), func(h Holder) bool { return h.ID == id })
}

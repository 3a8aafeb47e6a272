// Package ledger sets settings of a host for resources that share them. When the last
// resource is gone, it puts back the values that it found. An agent declares the settings
// that it wants and gives them to a Resource. The ledger is the file that says which
// resource holds which setting. A Resource writes it before it changes the kernel, so that
// the process can be killed at any time.
package ledger

import (
	"slices"

	"lvs-agents/internal/host"
)

// State is the state that the last action of a holder leads to.
type State string

// The states of a holder. A holder whose stop was interrupted stays Stopping.
const (
	Running  State = "running"
	Stopping State = "stopping"
)

// Ledger is the settings that resources have changed on this host, and the values that they found.
// All resources of a host share one ledger, because they share the settings.
type Ledger struct {
	// Holders are the resources that have set something.
	Holders []Holder
	// Entries are sorted by the time when they were first set.
	Entries []Entry
}

// Holder is a resource in the ledger.
type Holder struct {
	ID    string
	State State
}

// Entry is one setting.
type Entry struct {
	host.Setting

	Found, Set string   // value before the first holder, and value since then
	By         []string // ids of the holders, never empty
}

// State returns the state of a resource, empty if it holds nothing.
func (l *Ledger) State(id string) State {
	for _, h := range l.Holders {
		if h.ID == id {
			return h.State
		}
	}
	return ""
}

// Enter sets the state of a resource.
func (l *Ledger) Enter(id string, state State) {
	i := slices.IndexFunc(l.Holders, func(h Holder) bool { return h.ID == id })
	if i < 0 {
		l.Holders = append(l.Holders, Holder{id, state})
		return
	}
	l.Holders[i].State = state
}

// Hold records that a resource will give a setting the value set. found is the present value; only
// the found of the first holder counts. It returns the entry.
func (l *Ledger) Hold(id string, s host.Setting, found, set string) Entry {
	i := slices.IndexFunc(l.Entries, func(e Entry) bool { return e.Setting == s })
	if i < 0 {
		i = len(l.Entries)
		l.Entries = append(l.Entries, Entry{Setting: s, Found: found, Set: set})
	}
	e := &l.Entries[i]
	if !slices.Contains(e.By, id) {
		e.By = append(slices.Clone(e.By), id)
	}
	return *e
}

// Held returns the entries of a resource, in order.
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

// Drop removes a resource from the holders of a setting.
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

// Leave removes a resource from the ledger.
func (l *Ledger) Leave(id string) {
	for _, e := range l.Held(id) {
		l.Drop(id, e.Setting)
	}
	l.Holders = slices.DeleteFunc(slices.Clone(l.Holders), func(h Holder) bool { return h.ID == id })
}

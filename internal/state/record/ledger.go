package record

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	"lvs-agents/internal/host"
	"lvs-agents/internal/state"
)

// Ledger is what resources have set on this host and what they found. All
// resources of a host share one, since they share the settings.
type Ledger struct {
	// Holders are the resources that have set something.
	Holders []Holder
	// Entries are in the order in which they were first set.
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

	Found, Set string   // values before the first holder came, and since
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

// Enter puts a resource into a state.
func (l *Ledger) Enter(id string, state State) {
	i := slices.IndexFunc(l.Holders, func(h Holder) bool { return h.ID == id })
	if i < 0 {
		l.Holders = append(l.Holders, Holder{id, state})
		return
	}
	l.Holders[i].State = state
}

// Hold notes that a resource is about to give a setting a value; found is its
// present one, which counts only for the first holder. It returns the entry.
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

// Alone tells whether no running resource but id holds the entry.
func (l *Ledger) Alone(id string, e Entry) bool {
	return !slices.ContainsFunc(e.By, func(other string) bool { return other != id && l.State(other) == Running })
}

// Drop takes a resource off a setting.
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

// Leave takes a resource off everything.
func (l *Ledger) Leave(id string) {
	for _, e := range l.Held(id) {
		l.Drop(id, e.Setting)
	}
	l.Holders = slices.DeleteFunc(slices.Clone(l.Holders), func(h Holder) bool { return h.ID == id })
}

// LockHost is Lock for the ledger and the settings in it.
func (s Store) LockHost(ctx context.Context, who string, until time.Time) (func(), error) {
	unlock, err := lock(ctx, s.host+".lock", who, until)
	if err != nil {
		return nil, fmt.Errorf("locking the settings of this host: %w", err)
	}
	return unlock, nil
}

// LoadLedger returns the ledger of this boot and network namespace, an empty
// one if there is none, and ErrDamaged with what can be read of a damaged one.
func (s Store) LoadLedger() (Ledger, error) {
	text, err := read(s.host)
	if errors.Is(err, fs.ErrNotExist) {
		return Ledger{}, nil
	}
	if err != nil {
		return Ledger{}, err
	}
	l, by, err := parseLedger(text)
	changed := unchanged(text, "") != nil // perhaps the line that says whose it is
	if !by.wrote(s.here) && (by.owner != "" || err == nil) && !changed {
		return Ledger{}, nil
	}
	if err != nil {
		return l, fmt.Errorf("%s: %w: %w", s.host, ErrDamaged, err)
	}
	return l, nil
}

// SaveLedger replaces the ledger; an empty one is removed.
func (s Store) SaveLedger(l Ledger) error {
	if len(l.Holders) == 0 {
		return state.Remove(s.host)
	}
	return state.Write(s.host, s.formatLedger(l))
}

const ledgerTitle = "# lvs-agents ledger. Written by ocf:lvs:realserver; do not edit."

func (s Store) formatLedger(l Ledger) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\nowner %s\ncookie %s\n", ledgerTitle, s.here.Owner(), s.here.Cookie)
	for _, h := range l.Holders {
		fmt.Fprintf(&b, "holder %s %q\n", h.State, h.ID)
	}
	for _, e := range l.Entries {
		fmt.Fprintf(&b, "setting %q found %q set %q by", e.Setting, e.Found, e.Set)
		for _, id := range e.By {
			fmt.Fprintf(&b, " %q", id)
		}
		b.WriteByte('\n')
	}
	return sealed(b.String(), "") + end + "\n"
}

// parseLedger reads as much as it can; the error is for the rest.
func parseLedger(text string) (l Ledger, by author, err error) {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	var errs []error
	if lines[0] != ledgerTitle || lines[len(lines)-1] != end {
		errs = append(errs, errors.New("it is not complete"))
	}
	if err := unchanged(text, ""); err != nil {
		errs = append(errs, err)
	}
	for n, line := range lines {
		word, rest, _ := strings.Cut(line, " ")
		var err error
		switch word {
		case "owner":
			by.owner = rest
		case "cookie":
			by.cookie = rest
		case "holder":
			err = l.parseHolder(rest)
		case "setting":
			err = l.parseEntry(rest)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("line %d: %w", n+1, err))
		}
	}
	for _, e := range l.Entries {
		for _, id := range e.By {
			if l.State(id) == "" {
				l.Enter(id, Stopping)
				errs = append(errs, fmt.Errorf("%q has no state", id))
			}
		}
	}
	return l, by, errors.Join(errs...)
}

func (l *Ledger) parseHolder(text string) error {
	state, quoted, _ := strings.Cut(text, " ")
	id, err := strconv.Unquote(quoted)
	if err != nil || State(state) != Running && State(state) != Stopping {
		return fmt.Errorf("%q is no holder", text)
	}
	l.Enter(id, State(state))
	return nil
}

func (l *Ledger) parseEntry(text string) error {
	var words []string // the quoted ones
	for rest := text; rest != ""; {
		if rest[0] != '"' {
			_, rest, _ = strings.Cut(rest, " ")
			continue
		}
		quoted, err := strconv.QuotedPrefix(rest)
		if err != nil {
			return fmt.Errorf("%q: %w", text, err)
		}
		word, err := strconv.Unquote(quoted)
		if err != nil {
			return fmt.Errorf("%q: %w", text, err)
		}
		words, rest = append(words, word), strings.TrimPrefix(rest[len(quoted):], " ")
	}
	if len(words) < 4 {
		return fmt.Errorf("%q is no setting", text)
	}
	setting, err := host.ParseSetting(words[0])
	if err != nil {
		return err
	}
	l.Entries = append(l.Entries, Entry{setting, words[1], words[2], words[3:]})
	return nil
}

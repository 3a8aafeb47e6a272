package ledger

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"lvs-agents/internal/host"
	"lvs-agents/internal/state"
)

// Role is what a host does with the settings of one ledger. Ledgers of two roles have no setting
// in common.
type Role string

// The roles. A host can have several.
const (
	RealServer Role = "realserver" // RealServer has the settings of ocf:lvs:realserver.
	// Director has the settings of ocf:lvs:ipvs and ocf:lvs:sync.
	Director Role = "director"
	Marks    Role = "fwmark" // Marks has the settings of ocf:lvs:fwmark.
)

// Store reads and writes the ledger of this boot and of one network namespace: the namespace of the
// thread that called In.
type Store struct {
	path  string
	title string
	here  state.Here
}

// In returns the store of a role below a state directory. It makes no file before the first Save or
// Lock.
func In(stateDir string, role Role) (Store, error) {
	here, err := state.Now()
	return Store{filepath.Join(stateDir, string(role)+"-"+here.Inode), titles[role], here}, err
}

// Lock waits until no other process changes the ledger and the settings in it, see state.Lock.
func (s Store) Lock(ctx context.Context, who string, until time.Time) (func(), error) {
	unlock, err := state.Lock(ctx, s.path+".lock", who, until)
	return unlock, locking(err)
}

// LockInHalf is Lock with at most half of the waiting time, see state.LockInHalf.
func (s Store) LockInHalf(ctx context.Context, who string) (func(), error) {
	unlock, err := state.LockInHalf(ctx, s.path+".lock", who)
	return unlock, locking(err)
}

func locking(err error) error {
	if err != nil {
		return fmt.Errorf("locking the settings of this host: %w", err)
	}
	return nil
}

// Load returns the ledger. If there is no file, or the file is of another boot or network
// namespace, the ledger is empty. The error is state.ErrDamaged for a damaged ledger. Load then
// also returns the part of the ledger that it could read.
func (s Store) Load() (Ledger, error) {
	text, err := state.Load(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return Ledger{}, nil
	}
	if err != nil {
		return Ledger{}, err
	}
	l, origin, err := s.parse(text)
	// If a line was changed, it can be the line with the owner.
	_, changed := state.Unseal(text, "")
	if !s.here.Wrote(origin.Owner, origin.Cookie) && (origin.Owner != "" || err == nil) && changed == nil {
		return Ledger{}, nil
	}
	if err != nil {
		return l, fmt.Errorf("%s: %w: %w", s.path, state.ErrDamaged, err)
	}
	return l, nil
}

// Save replaces the file of the ledger. If the ledger has no holders, Save removes the file.
func (s Store) Save(l Ledger) error {
	if len(l.Holders) == 0 {
		return state.Remove(s.path)
	}
	return state.Write(s.path, s.format(l))
}

// All versions use the same file name and title, and read each other's lines. So a node loses none
// of its settings when an operator installs a newer or an older version.
var titles = map[Role]string{
	RealServer: "# lvs-agents ledger. Written by ocf:lvs:realserver; do not edit.",
	Director:   "# lvs-agents ledger. Written by ocf:lvs:ipvs and ocf:lvs:sync; do not edit.",
	Marks:      "# lvs-agents ledger. Written by ocf:lvs:fwmark; do not edit.",
}

const end = "# end"

func (s Store) format(l Ledger) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%s", s.title, s.here.Head(""))
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
	return state.Seal(b.String(), "") + end + "\n"
}

// parse reads all lines that it can. The error names the lines that it cannot read.
func (s Store) parse(text string) (l Ledger, origin state.Origin, err error) {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	var errs []error
	if lines[0] != s.title || lines[len(lines)-1] != end {
		errs = append(errs, errors.New("it is not complete"))
	}
	if _, err := state.Unseal(text, ""); err != nil {
		errs = append(errs, err)
	}
	for n, line := range lines {
		word, rest, _ := strings.Cut(line, " ")
		var err error
		switch word {
		case "owner", "cookie":
			origin.Read(word, rest)
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
	return l, origin, errors.Join(errs...)
}

func (l *Ledger) parseHolder(text string) error {
	state, quoted, _ := strings.Cut(text, " ")
	id, err := strconv.Unquote(quoted)
	if err != nil || State(state) != Running && State(state) != Stopping {
		return fmt.Errorf("invalid holder %q", text)
	}
	l.Enter(id, State(state))
	return nil
}

func (l *Ledger) parseEntry(text string) error {
	var words []string // words are the words of the line that have quotes.
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
		return fmt.Errorf("invalid setting %q", text)
	}
	setting, err := host.ParseSetting(words[0])
	if err != nil {
		return err
	}
	l.Entries = append(l.Entries, Entry{setting, words[1], words[2], words[3:]})
	return nil
}

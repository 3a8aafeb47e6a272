// Package record reads and writes records. A record is a file with the IPVS services that one
// resource, or one health daemon, puts into the kernel. Monitor and stop use the record, not the
// configuration. A claim in a record is the right of a health daemon to set the destinations of a
// service.
package record

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"lvs-agents/internal/lvs"
	"lvs-agents/internal/state"
)

// State is the state that the last action of the resource leads to.
type State string

// The states of a record. A record stays Stopping if its stop was interrupted.
const (
	Running  State = "running"
	Stopping State = "stopping"
)

// Record has the virtual services that one resource, or one health daemon, puts into the kernel.
type Record struct {
	ID    string // ID is the id of the resource instance. For a health daemon, see OwnID.
	State State
	// Generation grows when a start, a reload or a health daemon writes Services. It begins again
	// at 1 after a stop.
	Generation uint64
	Services   lvs.Table // Services are the services that the kernel must have.
	// Removing has earlier services of the record, which must be removed from the kernel. It is
	// empty unless the last start or reload was interrupted.
	Removing []lvs.ServiceID
	// File is the configuration file that Services come from. It is empty if there is no file.
	File File
	// Withheld has the names of the real servers that start with weight 0. A health daemon found them
	// bad at their last check, or an operator has drained them. The function Server makes the names.
	Withheld []string
	// Holder is the health daemon that last claimed services, empty for none. Holder stays after
	// the daemon's process has ended. control.PresenceOf then decides whether the claim still
	// counts.
	Holder string
	// Claimed has the services whose destinations Holder sets while it runs. After Holder ends, the
	// destinations stay as they are while its verdicts count.
	Claimed []lvs.ServiceID
}

// File is a configuration file with the text that an action has read.
type File struct{ Path, Digest string }

// Claims returns the services whose destinations a health daemon sets.
func (r Record) Claims() lvs.Scope {
	scope := lvs.Scope{}
	for _, id := range r.Claimed {
		scope[id] = true
	}
	return scope
}

// Server returns the name that records use for a real server of a service.
func Server(id lvs.ServiceID, addr netip.AddrPort) string { return fmt.Sprintf("%s -r %s", id, addr) }

// Target returns the services that the kernel must have while no health daemon has a claim.
// The real servers in Withheld have weight 0.
func (r Record) Target() lvs.Table {
	if len(r.Withheld) == 0 {
		return r.Services
	}
	target := slices.Clone(r.Services)
	for i, v := range target {
		target[i].Destinations = slices.Clone(v.Destinations)
		for j, d := range v.Destinations {
			if slices.Contains(r.Withheld, Server(v.ID, d.Addr)) {
				target[i].Destinations[j].Weight, target[i].Destinations[j].HashWeight = 0, d.Weight
			}
		}
	}
	return target
}

// Scope returns the services in Services and in Removing.
func (r Record) Scope() lvs.Scope {
	scope := lvs.ScopeOf(r.Services)
	for _, id := range r.Removing {
		scope[id] = true
	}
	return scope
}

// Store reads and writes the records of one host. A record counts until the next boot, in the
// network namespace where it was written.
type Store struct {
	dir  string // dir is the directory of the records.
	lock string // lock is the path of the lock file.
	here state.Here
}

// In returns the store below a state directory, for the network namespace of the calling process.
// It creates nothing before the first Save or Lock.
func In(stateDir string) (Store, error) {
	here, err := state.Now()
	if err != nil {
		return Store{}, err
	}
	return Store{
		dir:  filepath.Join(stateDir, "ipvs"),
		lock: filepath.Join(stateDir, "lock-"+here.Inode),
		here: here,
	}, nil
}

// Path returns the path of the file of a resource's record.
func (s Store) Path(id string) string { return filepath.Join(s.dir, state.FileName(id)) }

// Load returns the record of a resource. The error is fs.ErrNotExist if the resource has no record
// of this boot and this network namespace. The error is state.ErrDamaged if the record cannot be
// read completely, or was changed after it was written. It is also state.ErrDamaged if other users
// can have written the record.
func (s Store) Load(id string) (Record, error) {
	path := s.Path(id)
	text, err := state.Load(path)
	if err != nil {
		return Record{}, err
	}
	r, origin, err := parse(text)
	if err != nil {
		return r, fmt.Errorf("%s: %w", path, err)
	}
	if !s.here.Wrote(origin.Owner, origin.Cookie) {
		return Record{}, fmt.Errorf("%s is of another boot or network namespace: %w", path, fs.ErrNotExist)
	}
	return r, nil
}

// Others returns the records of this boot and network namespace, sorted by file name, and the paths
// of the damaged records. It leaves out the record of id. A damaged record contains the part that
// could be read.
func (s Store) Others(id string) (others []Record, damaged []string, err error) {
	entries, err := os.ReadDir(s.dir)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	for _, entry := range entries {
		if entry.Name() == state.FileName(id) || strings.HasPrefix(entry.Name(), ".") {
			continue
		}
		path := filepath.Join(s.dir, entry.Name())
		text, err := state.Load(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // The resource was stopped after ReadDir, so its record no longer exists.
		}
		r, origin, errParse := parse(text)
		switch {
		case id != "" && r.ID == id: // this file is a copy of the record of id
			continue
		case err != nil || errParse != nil:
			damaged = append(damaged, path)
		case !s.here.Wrote(origin.Owner, origin.Cookie) || state.FileName(r.ID) != entry.Name():
			continue
		}
		others = append(others, r)
	}
	return others, damaged, nil
}

// Copies returns the record files whose name does not match the id in the file. The copies claim no
// service.
func (s Store) Copies() []string {
	entries, _ := os.ReadDir(s.dir)
	var copies []string
	for _, entry := range entries {
		path := filepath.Join(s.dir, entry.Name())
		if strings.HasPrefix(entry.Name(), ".") {
			continue
		}
		text, err := state.Load(path)
		r, origin, errParse := parse(text)
		if err == nil && errParse == nil && s.here.Wrote(origin.Owner, origin.Cookie) && state.FileName(r.ID) != entry.Name() {
			copies = append(copies, path)
		}
	}
	return copies
}

// Lock waits until no other agent or daemon of this network namespace changes its IPVS table, see
// state.Lock.
func (s Store) Lock(ctx context.Context, who string, until time.Time) (func(), error) {
	unlock, err := state.Lock(ctx, s.lock, who, until)
	return unlock, locking(err)
}

// LockInHalf is Lock with at most half of the waiting time, see state.LockInHalf.
func (s Store) LockInHalf(ctx context.Context, who string) (func(), error) {
	unlock, err := state.LockInHalf(ctx, s.lock, who)
	return unlock, locking(err)
}

func locking(err error) error {
	if err != nil {
		return fmt.Errorf("locking the IPVS table: %w", err)
	}
	return nil
}

// Save replaces the record of a resource. After a crash, the file has either the old or the new
// text, see state.Write.
func (s Store) Save(r Record) error { return state.Write(s.Path(r.ID), s.format(r)) }

// Remove deletes the record of a resource. It succeeds if the resource has no record.
func (s Store) Remove(id string) error { return state.Remove(s.Path(id)) }

// A record file has the table as `ipvsadm -Sn` prints it. All other values are in comments, so that
// an operator can read the file. The last line proves that the file is complete. The line before it
// has a checksum, which proves that no line was changed. The first versions write neither a cookie
// nor a checksum, and ignore both.
const (
	title = "# lvs-agents record. Written by ocf:lvs:ipvs; do not edit."
	end   = "# end"
)

func (s Store) format(r Record) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%s# id %q\n# state %s\n# generation %d\n", title, s.here.Head("# "), r.ID, r.State, r.Generation)
	b.WriteString(r.Services.String())
	if r.File.Path != "" {
		fmt.Fprintf(&b, "# file %s %q\n", r.File.Digest, r.File.Path)
	}
	for _, id := range r.Removing {
		fmt.Fprintf(&b, "# removing %s\n", id)
	}
	for _, server := range r.Withheld {
		fmt.Fprintf(&b, "# withheld %s\n", server)
	}
	if r.Holder != "" {
		fmt.Fprintf(&b, "# holder %q\n", r.Holder)
	}
	for _, id := range r.Claimed {
		fmt.Fprintf(&b, "# claimed %s\n", id)
	}
	return state.Seal(b.String(), "# ") + end + "\n"
}

// parse reads all lines that it can. The error names the lines that it cannot read.
func parse(text string) (Record, state.Origin, error) {
	var r Record
	var origin state.Origin
	var services lvs.Builder
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	var errs []error
	if lines[0] != title || lines[len(lines)-1] != end {
		errs = append(errs, errors.New("it is not complete"))
	}
	if _, err := state.Unseal(text, "# "); err != nil {
		errs = append(errs, err)
	}
	for n, line := range lines {
		var err error
		name, value, ok := strings.Cut(strings.TrimPrefix(line, "# "), " ")
		switch {
		case !strings.HasPrefix(line, "#"):
			err = services.Add(line)
		case !ok || line == title:
		case origin.Read(name, value):
		case name == "id":
			r.ID, err = strconv.Unquote(value)
		case name == "state":
			r.State = State(value)
		case name == "generation":
			r.Generation, err = strconv.ParseUint(value, 10, 64)
		case name == "holder":
			r.Holder, err = strconv.Unquote(value)
		case name == "file":
			r.File.Digest, value, _ = strings.Cut(value, " ")
			r.File.Path, err = strconv.Unquote(value)
		case name == "withheld":
			r.Withheld = append(r.Withheld, value)
		case name == "removing":
			r.Removing, err = parseID(r.Removing, value)
		case name == "claimed":
			r.Claimed, err = parseID(r.Claimed, value)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("line %d: %w", n+1, err))
		}
	}
	r.Services = services.Table()
	if !slices.Contains([]State{Running, Stopping}, r.State) {
		errs = append(errs, fmt.Errorf("state %q is unknown", r.State))
	}
	if len(errs) > 0 {
		return r, origin, fmt.Errorf("%w: %w", state.ErrDamaged, errors.Join(errs...))
	}
	return r, origin, nil
}

func parseID(ids []lvs.ServiceID, value string) ([]lvs.ServiceID, error) {
	op, err := lvs.ParseOp("-D " + value)
	if err != nil {
		return ids, err
	}
	return append(ids, op.Service.ID), nil
}

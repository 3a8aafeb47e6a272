// Package record keeps what a resource has put into the kernel, as files that
// do not survive a reboot, and the lock under which the kernel's table is
// changed. The record, not the configuration, says what monitor and stop look
// for.
package record

import (
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"lvs-agents/internal/lvs"
)

// ErrDamaged says that a record exists but was not read completely. What could
// be read comes with it.
var ErrDamaged = errors.New("damaged record")

// State is what the resource is about to be.
type State string

// The states of a record. A record whose stop was interrupted stays Stopping.
const (
	Running  State = "running"
	Stopping State = "stopping"
)

// Record is the virtual services that one resource has claimed.
type Record struct {
	ID         string // resource instance
	State      State
	Generation uint64    // counts the starts and reloads of this boot
	Services   lvs.Table // what shall be in the kernel
	// Removing is what was claimed before and shall not be there any more. It
	// is empty unless the last start or reload did not end.
	Removing []lvs.ServiceID
	// Withheld is the real servers that were started with weight 0, because they
	// were bad when a health daemon last looked, as Server calls them.
	Withheld []string
	// Holder is the health daemon that had the destinations of the claimed
	// services last, empty for none. It outlives the daemon's process, so what the
	// claim means depends on whether that is there: see control.Look.
	Holder string
	// Claimed is the services whose destinations Holder decides about while it lives,
	// and which stay as it left them while its verdicts count.
	Claimed []lvs.ServiceID
}

// Claims is the services whose destinations belong to a health daemon.
func (r Record) Claims() lvs.Scope {
	scope := lvs.Scope{}
	for _, id := range r.Claimed {
		scope[id] = true
	}
	return scope
}

// Server is what a real server of a service is called in records.
func Server(id lvs.ServiceID, addr netip.AddrPort) string { return fmt.Sprintf("%s -r %s", id, addr) }

// Target is what shall be in the kernel as long as no health daemon has it: the
// services, with weight 0 for what is withheld.
func (r Record) Target() lvs.Table {
	if len(r.Withheld) == 0 {
		return r.Services
	}
	target := slices.Clone(r.Services)
	for i, v := range target {
		target[i].Destinations = slices.Clone(v.Destinations)
		for j, d := range v.Destinations {
			if slices.Contains(r.Withheld, Server(v.ID, d.Addr)) {
				target[i].Destinations[j].Weight = 0
			}
		}
	}
	return target
}

// Scope is everything that the record claims.
func (r Record) Scope() lvs.Scope {
	scope := lvs.ScopeOf(r.Services)
	for _, id := range r.Removing {
		scope[id] = true
	}
	return scope
}

// Store is the records of one host. They count for the network namespace in
// which they were written and until the next boot.
type Store struct {
	dir   string // of the ipvs records
	lock  string // path of the lock file
	host  string // path of the ledger
	boot  string // boot id
	netns string // inode of the network namespace
}

// In is the store below a state directory, for the network namespace of the
// calling process. Nothing is created before the first Save or Lock.
func In(stateDir string) (Store, error) {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return Store{}, fmt.Errorf("boot id: %w", err)
	}
	netns, err := os.Stat("/proc/self/ns/net")
	if err != nil {
		return Store{}, fmt.Errorf("network namespace: %w", err)
	}
	inode := strconv.FormatUint(netns.Sys().(*syscall.Stat_t).Ino, 10)
	return Store{
		dir:   filepath.Join(stateDir, "ipvs"),
		lock:  filepath.Join(stateDir, "lock-"+inode),
		host:  filepath.Join(stateDir, "realserver-"+inode),
		boot:  strings.TrimSpace(string(boot)),
		netns: inode,
	}, nil
}

// Path is the file of a resource's record.
func (s Store) Path(id string) string { return filepath.Join(s.dir, escape(id)) }

// longest is how long a file name of ours may be: temporary ones have a dot more
// than 255 bytes allow.
const longest = 200

// escape makes one file name of any id. Ids of globally unique clones have a
// colon. Of a long one a checksum stands for the end.
func escape(id string) string {
	name := escapeAll(id)
	if len(name) <= longest {
		return name
	}
	sum := fnv.New64a()
	_, _ = sum.Write([]byte(id))
	return fmt.Sprintf("%s%%%016x", name[:longest-17], sum.Sum64())
}

func escapeAll(id string) string {
	var b strings.Builder
	for i := range len(id) {
		c := id[i]
		plain := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-_:", c) >= 0 || c == '.' && i > 0
		if plain {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// Load returns the record of a resource. It is fs.ErrNotExist if there is none
// of this boot and this network namespace, ErrDamaged if it cannot be read
// completely.
func (s Store) Load(id string) (Record, error) {
	path := s.Path(id)
	text, err := read(path)
	if err != nil {
		return Record{}, err
	}
	r, owner, err := parse(text)
	if err != nil {
		return r, fmt.Errorf("%s: %w", path, err)
	}
	if owner != s.owner() {
		return Record{}, fmt.Errorf("%s is of another boot or network namespace: %w", path, fs.ErrNotExist)
	}
	return r, nil
}

// read reads a file that should be a record. Opening a pipe would wait for ever. A
// path that cannot be one (a file in the place of a directory) holds no record.
func read(path string) (string, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if errors.Is(err, syscall.ENOTDIR) {
		return "", fmt.Errorf("%w: %w", err, fs.ErrNotExist)
	}
	if err != nil {
		return "", err
	}
	defer file.Close()
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		return "", errors.Join(err, fmt.Errorf("%s: %w: not a regular file", path, ErrDamaged))
	}
	text, err := io.ReadAll(file)
	return string(text), err
}

// Others returns the records of all other resources, sorted by id, with what can
// be read of damaged ones, and the paths of the damaged ones.
func (s Store) Others(id string) (others []Record, damaged []string, err error) {
	entries, err := os.ReadDir(s.dir)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	for _, entry := range entries {
		if entry.Name() == escape(id) || strings.HasPrefix(entry.Name(), ".") {
			continue
		}
		path := filepath.Join(s.dir, entry.Name())
		text, err := read(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // it stopped meanwhile
		}
		r, owner, errParse := parse(text)
		switch {
		case err != nil || errParse != nil:
			damaged = append(damaged, path)
		case owner != s.owner():
			continue
		}
		others = append(others, r)
	}
	return others, damaged, nil
}

// Save replaces the record of a resource. After a crash either the old or the
// new one is there.
func (s Store) Save(r Record) error {
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return err
	}
	path := s.Path(r.ID)
	temporary := filepath.Join(s.dir, "."+escape(r.ID))
	if err := os.WriteFile(temporary, []byte(s.format(r)), 0o644); err != nil {
		_ = os.Remove(temporary)
		return err
	}
	return os.Rename(temporary, path)
}

// Remove deletes the record of a resource. That there is none is success.
func (s Store) Remove(id string) error {
	if err := os.Remove(s.Path(id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (s Store) owner() string { return s.boot + " " + s.netns }

// The text form is the table as `ipvsadm -Sn` prints it, with everything else in
// comments, so that an administrator can read it. The last line proves that
// the file is complete.
const (
	title = "# lvs-agents record. Written by ocf:lvs:ipvs; do not edit."
	end   = "# end"
)

func (s Store) format(r Record) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n# owner %s\n# id %q\n# state %s\n# generation %d\n", title, s.owner(), r.ID, r.State, r.Generation)
	b.WriteString(r.Services.String())
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
	b.WriteString(end + "\n")
	return b.String()
}

// parse reads as much as it can; the error is for the rest.
func parse(text string) (Record, string, error) {
	var r Record
	var owner string
	var services lvs.Builder
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	var errs []error
	if lines[0] != title || lines[len(lines)-1] != end {
		errs = append(errs, errors.New("it is not complete"))
	}
	for n, line := range lines {
		var err error
		name, value, ok := strings.Cut(strings.TrimPrefix(line, "# "), " ")
		switch {
		case !strings.HasPrefix(line, "#"):
			err = services.Add(line)
		case !ok || line == title:
		case name == "owner":
			owner = value
		case name == "id":
			r.ID, err = strconv.Unquote(value)
		case name == "state":
			r.State = State(value)
		case name == "generation":
			r.Generation, err = strconv.ParseUint(value, 10, 64)
		case name == "holder":
			r.Holder, err = strconv.Unquote(value)
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
		return r, owner, fmt.Errorf("%w: %w", ErrDamaged, errors.Join(errs...))
	}
	return r, owner, nil
}

func parseID(ids []lvs.ServiceID, value string) ([]lvs.ServiceID, error) {
	op, err := lvs.ParseOp("-D " + value)
	if err != nil {
		return ids, err
	}
	return append(ids, op.Service.ID), nil
}

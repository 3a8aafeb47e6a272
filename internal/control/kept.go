package control

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"lvs-agents/internal/state"
)

// keptSize is the size in bytes after which the file of events is replaced. Two files are kept, so
// they have the last 10,000 events and more.
const keptSize = 2 << 20

// EventsPath returns the path of the file where a daemon keeps its events. The older events are in
// a file with ".1" after this path.
func EventsPath(stateDir, id string) string {
	return filepath.Join(state.DaemonDir(stateDir), state.SocketName(id)+eventsSuffix)
}

const eventsSuffix = ".events"

// Keeper keeps the events of a daemon in files with a limited size, one JSON object in each line.
type Keeper struct {
	path string
	view string // view is the directory whose group can read the files.
	size int64  // size is the largest size of a file in bytes.

	mu sync.Mutex
}

// NewKeeper returns the Keeper of a daemon. It does not create a file.
func NewKeeper(stateDir, id string) *Keeper {
	return &Keeper{path: EventsPath(stateDir, id), view: viewDir(stateDir), size: keptSize}
}

// Keep appends an event to the file. It opens the file for each event, so that an administrator can
// remove the file. After an error, the event is lost, and a later event can succeed.
func (k *Keeper) Keep(e Event) error {
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	file, err := k.open()
	if err != nil {
		return fmt.Errorf("keeping an event: %w", err)
	}
	defer func() { _ = file.Close() }()
	// One write for the whole line, so that a process that ends meanwhile tears at most this line.
	if _, err = file.Write(append(begin(file), append(line, '\n')...)); err != nil {
		return fmt.Errorf("keeping an event: %w", err)
	}
	return nil
}

// open opens the file to append an event. It replaces a file that is too long.
func (k *Keeper) open() (*os.File, error) {
	info, err := os.Lstat(k.path)
	switch {
	case err == nil && info.Size() >= k.size:
		if err := os.Rename(k.path, k.path+".1"); err != nil {
			return nil, err
		}
	case err == nil:
		return os.OpenFile(k.path, os.O_RDWR|os.O_APPEND|unix.O_NOFOLLOW, 0)
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	file, err := os.OpenFile(k.path, os.O_RDWR|os.O_APPEND|os.O_CREATE|os.O_EXCL, 0o600)
	if err == nil {
		share(file, k.view)
	}
	return file, err
}

// share lets the group of a directory read a file. Without the directory, only the owner can.
func share(file *os.File, dir string) {
	info, err := os.Stat(dir)
	if err != nil {
		return
	}
	// Without the right to change the group, only the owner can read the file.
	if s, ok := info.Sys().(*syscall.Stat_t); ok && file.Chown(-1, int(s.Gid)) == nil {
		_ = file.Chmod(0o640)
	}
}

// begin returns a line end if the last line of a file lacks it, because the write of that line was
// interrupted.
func begin(file *os.File) []byte {
	last := make([]byte, 1)
	info, err := file.Stat()
	if err != nil || info.Size() == 0 {
		return nil
	}
	if _, err := file.ReadAt(last, info.Size()-1); err != nil || last[0] == '\n' {
		return nil
	}
	return []byte("\n")
}

// Past returns the kept events of a daemon that a filter selects, the oldest first. It leaves out
// lines that are not an event.
func Past(stateDir, id string, filter Filter) ([]Event, error) {
	filter, err := filter.normal()
	if err != nil {
		return nil, err
	}
	path := EventsPath(stateDir, id)
	var past []Event
	for _, name := range []string{path + ".1", path} {
		text, err := readKept(name)
		if err != nil {
			return nil, fmt.Errorf("events of directord %s: %w", id, err)
		}
		for line := range bytes.Lines(text) {
			e := Event{}
			if json.Unmarshal(line, &e) != nil || e.Kind == "" || !filter.passes(e) {
				continue
			}
			e.Daemon = id
			past = append(past, e)
		}
	}
	return past, nil
}

// readKept reads a file of events. A file that does not exist is empty. Of a file that is too long
// for a Keeper of this version, readKept reads the beginning.
func readKept(path string) ([]byte, error) {
	const longest = 4 * keptSize
	file, err := state.Open(path, os.O_RDONLY)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	return io.ReadAll(io.LimitReader(file, longest))
}

// KeptIDs returns the sorted ids of the daemons that have kept events. They need not run.
func KeptIDs(stateDir string) ([]string, error) {
	entries, err := os.ReadDir(state.DaemonDir(stateDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var ids []string
	for _, entry := range entries {
		name := strings.TrimSuffix(entry.Name(), ".1")
		if id, ok := strings.CutSuffix(name, eventsSuffix); ok && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids, nil
}

// Package pidfile proves with a lock on its pid file that a daemon runs, and ends the
// daemon. A pid alone can have gone to another process. The lock ends with its process.
package pidfile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"lvs-agents/internal/process"
	"lvs-agents/internal/state"
)

// ErrRunning is the error of a process when another one has the identity already.
var ErrRunning = errors.New("running already")

// Identity is the lock of a running daemon on its pid file.
type Identity struct{ file *os.File }

// The bytes of a pid file that are locked; the file can be shorter. The locks are
// locks of open files (F_OFD_SETLK), which need a file open for writing. A query takes
// no lock, so that a process that queries is not taken for a daemon.
const (
	byteRuns   = iota // the daemon runs
	byteNamed         // and the file has its pid, not its predecessor's
	byteStarts        // another process starts it
)

// Turn waits until no other process starts the daemon of a pid file, and returns the
// function that lets the next one in. Of several starts at once the first makes the
// daemon and the others find it. The turn ends with the process.
func Turn(ctx context.Context, path string) (end func(), err error) {
	file, err := create(path)
	if err != nil {
		return nil, err
	}
	ticker := time.NewTicker(poll)
	defer ticker.Stop()
	for {
		err := lock(file, byteStarts)
		if err == nil {
			return func() { _ = file.Close() }, nil
		}
		if errors.Is(err, ErrRunning) {
			select {
			case <-ticker.C:
				continue
			case <-ctx.Done():
				err = fmt.Errorf("another start has not ended: %w", ctx.Err())
			}
		}
		_ = file.Close()
		return nil, err
	}
}

// Acquire makes the calling process the daemon of a pid file. The file stays after the process has
// ended; Release empties it.
func Acquire(path string) (*Identity, error) {
	file, err := create(path)
	if err != nil {
		return nil, err
	}
	if err := claim(file); err != nil {
		_ = file.Close()
		return nil, err
	}
	return &Identity{file}, nil
}

func claim(file *os.File) error {
	// A process that can open the file can lock it, and would then count as a daemon.
	if err := file.Chmod(0o600); err != nil {
		return err
	}
	if err := lock(file, byteRuns); err != nil {
		return err
	}
	if err := file.Truncate(0); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(file, "%d\n", os.Getpid()); err != nil {
		return err
	}
	return lock(file, byteNamed)
}

// create opens a pid file for locks.
func create(path string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	return state.Open(path, os.O_RDWR|os.O_CREATE)
}

func lock(file *os.File, at int64) error {
	err := unix.FcntlFlock(file.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK, Start: at, Len: 1})
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
		return ErrRunning
	}
	return err
}

func locked(file *os.File, at int64) (bool, error) {
	query := unix.Flock_t{Type: unix.F_WRLCK, Start: at, Len: 1}
	err := unix.FcntlFlock(file.Fd(), unix.F_OFD_GETLK, &query)
	return query.Type != unix.F_UNLCK, err
}

// Held reports whether the path still has the file that was locked. Otherwise no process finds
// this daemon any more, and another daemon can have started.
func (i *Identity) Held() bool {
	ours, err := i.file.Stat()
	if err != nil {
		return false
	}
	there, err := os.Lstat(i.file.Name())
	return err == nil && os.SameFile(ours, there)
}

// Release empties the pid file and gives up the lock.
func (i *Identity) Release() error {
	err := i.file.Truncate(0)
	return errors.Join(err, i.file.Close())
}

// Status is the state of the daemon of a pid file.
type Status struct {
	Running bool
	PID     int // of the running daemon, 0 while it starts or ends; or of the dead daemon that left the file; 0 for none
}

// StatusOf reads a pid file and queries its locks. It changes nothing, so that it
// works on a file system that is read-only. If another kind of file has the path, or
// other users can have written it, StatusOf searches the processes instead.
func StatusOf(path string) (Status, error) {
	file, err := state.Open(path, os.O_RDONLY)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Status{}, nil
	case errors.Is(err, state.ErrUnusable):
		p, found := search(path)
		return Status{Running: found, PID: p.PID}, nil
	case err != nil:
		return Status{}, err
	}
	defer file.Close()
	var s Status
	if s.Running, err = locked(file, byteRuns); err != nil {
		return s, fmt.Errorf("%s: %w", path, err)
	}
	named, err := locked(file, byteNamed)
	if err != nil {
		return s, fmt.Errorf("%s: %w", path, err)
	}
	if s.Running && !named {
		return s, nil // it starts
	}
	text, err := io.ReadAll(io.LimitReader(file, 32))
	if err != nil {
		return s, err
	}
	s.PID, _ = strconv.Atoi(strings.TrimSpace(string(text))) // 0 while it ends
	return s, nil
}

// find returns the process that has the lock of a pid file. The lock is the proof, because the pid
// in the file can be wrong and the file can be missing.
func find(path string) (process.Process, bool) {
	s, err := StatusOf(path)
	if err == nil && s.Running && s.PID > 1 {
		if p := process.Of(s.PID); p.Locks(path, byteRuns) {
			return p, true
		}
	}
	return search(path)
}

// search searches all processes for the lock.
func search(path string) (process.Process, bool) {
	if !process.Locked(byteRuns) {
		return process.Process{}, false
	}
	for _, p := range process.All() {
		if p.PID != os.Getpid() && p.Owner() == os.Geteuid() && p.Locks(path, byteRuns) {
			return p, true
		}
	}
	return process.Process{}, false
}

// poll is how often the end of a daemon is awaited.
const poll = 20 * time.Millisecond

// Stop ends the daemon of a pid file: TERM, then KILL when two thirds of the time are over. It
// succeeds if no daemon runs. It finds the daemon even if the pid file was removed or replaced,
// and signals no process without the lock.
func Stop(ctx context.Context, path string) error {
	termTimeout := time.Minute
	if deadline, ok := ctx.Deadline(); ok {
		termTimeout = time.Until(deadline) * 2 / 3
	}
	kill := time.NewTimer(termTimeout)
	defer kill.Stop()
	ticker := time.NewTicker(poll)
	defer ticker.Stop()
	var sent process.Process // got TERM
	for {
		if sent.Start == 0 || sent.Gone() {
			p, found := find(path)
			if s, err := StatusOf(path); !found && (err != nil || !s.Running) {
				return err
			}
			sent = p
			p.Signal(unix.SIGTERM)
			p.Signal(unix.SIGCONT) // a suspended process would not handle TERM
		}
		select {
		case <-ticker.C:
		case <-kill.C:
			sent.Signal(unix.SIGKILL)
		case <-ctx.Done():
			if sent.Start == 0 {
				return fmt.Errorf("%s is locked by a process that is not visible here: %w", path, ctx.Err())
			}
			return fmt.Errorf("process %d does not end: %w", sent.PID, ctx.Err())
		}
	}
}

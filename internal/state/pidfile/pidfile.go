// Package pidfile finds out whether a daemon runs, and ends the daemon. The proof is a lock that a
// running daemon has on its pid file. A pid alone is not a proof, because the kernel can have given
// it to another process. The kernel releases the lock when the daemon ends.
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

// ErrRunning is the error of a process that cannot become the daemon because the daemon runs
// already.
var ErrRunning = errors.New("running already")

// Identity is the lock of a running daemon on its pid file. Its process is the daemon.
type Identity struct{ file *os.File }

// The bytes of a pid file that can be locked. A process can lock a byte after the end of the file.
// The locks belong to the open file (F_OFD_SETLK), and the file must be open for writing. A query
// takes no lock, so a process that queries does not look like a daemon.
const (
	byteRuns = iota // byteRuns is locked while the daemon runs.
	// byteNamed is locked while the pid in the file is the pid of the daemon that runs now.
	byteNamed
	byteStarts // byteStarts is locked while a process starts the daemon.
)

// Turn waits until no other process starts the daemon of a pid file. It returns the function that
// ends the caller's turn to start the daemon. If several processes start the daemon at the same
// time, the first one makes it. The other processes then find it running. The turn also ends when
// the process ends.
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

// Acquire makes the calling process the daemon of a pid file. The error is ErrRunning if the daemon
// runs already. The file stays after the process has ended. Release empties the file.
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
	// A process that can open the file can lock it and would then look like a daemon.
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

// create opens a pid file for locks. It makes the file and its directory if they do not exist.
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

// Held reports whether the path still has the file that this daemon locked. If not, StatusOf can
// fail to find this daemon, and another daemon can have started.
func (i *Identity) Held() bool {
	ours, err := i.file.Stat()
	if err != nil {
		return false
	}
	there, err := os.Lstat(i.file.Name())
	return err == nil && os.SameFile(ours, there)
}

// Release empties the pid file and releases the lock.
func (i *Identity) Release() error {
	err := i.file.Truncate(0)
	return errors.Join(err, i.file.Close())
}

// Status is the state of the daemon of a pid file.
type Status struct {
	Running bool
	// PID is the pid of the running daemon. It is 0 while the daemon starts or ends. If no daemon
	// runs, PID is the pid of the dead daemon that left the file, or 0.
	PID int
}

// StatusOf reads a pid file and queries its locks. It changes nothing, so that it also works on a
// read-only file system. If the path exists but the file is not usable (state.ErrUnusable),
// StatusOf searches the processes of this user for the lock.
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
		return s, nil // the daemon starts and has not written its pid yet
	}
	text, err := io.ReadAll(io.LimitReader(file, 32))
	if err != nil {
		return s, err
	}
	s.PID, _ = strconv.Atoi(strings.TrimSpace(string(text))) // While the daemon ends, the file is empty, and the pid is then 0.
	return s, nil
}

// find returns the process that has the lock of a pid file. Only the lock is a proof, because the
// pid in the file can be wrong and the file can be missing.
func find(path string) (process.Process, bool) {
	s, err := StatusOf(path)
	if err == nil && s.Running && s.PID > 1 {
		if p := process.Of(s.PID); p.Locks(path, byteRuns) {
			return p, true
		}
	}
	return search(path)
}

// search searches all processes of this user for the one that has the lock of a pid file.
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

// poll is the time between two tries, while Turn waits for another start and Stop waits for the end
// of the daemon.
const poll = 20 * time.Millisecond

// Stop ends the daemon of a pid file. It sends TERM. When two thirds of the time until the deadline
// of ctx are over, it sends KILL. Without a deadline, it sends KILL after a minute. Stop succeeds
// if no daemon runs. It finds the daemon even if the pid file was removed or replaced. It sends
// signals only to the process that has the lock.
func Stop(ctx context.Context, path string) error {
	termTimeout := time.Minute
	if deadline, ok := ctx.Deadline(); ok {
		termTimeout = time.Until(deadline) * 2 / 3
	}
	kill := time.NewTimer(termTimeout)
	defer kill.Stop()
	ticker := time.NewTicker(poll)
	defer ticker.Stop()
	var sent process.Process // sent is the process that received SIGTERM. Zero means none.
	for {
		if sent.Start == 0 || sent.Gone() {
			p, found := find(path)
			if s, err := StatusOf(path); !found && (err != nil || !s.Running) {
				return err
			}
			sent = p
			p.Signal(unix.SIGTERM)
			p.Signal(unix.SIGCONT) // A suspended process handles TERM only after CONT has resumed it.
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

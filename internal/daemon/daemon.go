// Package daemon starts a program in the background, knows whether it runs, and
// ends it. A daemon's identity is the lock on its pid file, which ends with the
// process: a pid alone may have gone to another one.
package daemon

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
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"lvs-agents/internal/process"
	"lvs-agents/internal/state"
)

// ErrRunning says that another process has the identity already.
var ErrRunning = errors.New("running already")

// Identity is the lock of a running daemon.
type Identity struct{ file *os.File }

// The bytes of a pid file that are locked, which need not be there. The locks are
// those of open files (F_OFD_SETLK): asking for them takes none, so that nobody who
// looks is taken for a daemon, and they need a file open for writing.
const (
	byteRuns   = iota // the daemon runs
	byteNamed         // and the file has its pid, not that of one before it
	byteStarts        // somebody starts it
)

// Turn waits until nobody else starts the daemon of a pid file and returns the
// function that lets the next one in: of several starts at once the first makes
// the daemon and the others find it. The turn ends with the process.
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

// Acquire makes the calling process the daemon of a pid file. The file stays when
// it ends, empty after Release.
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
	// Whoever may open it may lock it, and be taken for a daemon.
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
	asked := unix.Flock_t{Type: unix.F_WRLCK, Start: at, Len: 1}
	err := unix.FcntlFlock(file.Fd(), unix.F_OFD_GETLK, &asked)
	return asked.Type != unix.F_UNLCK, err
}

// Held reports whether the pid file is still the one that was locked. Without it
// nobody finds the daemon any more, and another one may have begun.
func (i *Identity) Held() bool {
	ours, err := i.file.Stat()
	if err != nil {
		return false
	}
	there, err := os.Lstat(i.file.Name())
	return err == nil && os.SameFile(ours, there)
}

// Release ends the identity in an orderly way.
func (i *Identity) Release() error {
	err := i.file.Truncate(0)
	return errors.Join(err, i.file.Close())
}

// Status is what a pid file tells.
type Status struct {
	Running bool
	PID     int // of the running daemon, 0 while it begins or ends; or of the one that left a stale file; 0 for none
}

// Look reads a pid file and asks for its locks. It changes nothing, so that it
// works on a file system that is read-only. Where something else is in the place
// of the file, or others may have written it, the processes are asked in its stead.
func Look(path string) (Status, error) {
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
		return s, nil // it begins
	}
	text, err := io.ReadAll(io.LimitReader(file, 32))
	if err != nil {
		return s, err
	}
	s.PID, _ = strconv.Atoi(strings.TrimSpace(string(text))) // 0 while it ends
	return s, nil
}

// find returns the process that has the identity of a pid file. That it has the
// lock is the proof: what the file says may be untrue, and the file may be gone.
func find(path string) (process.Process, bool) {
	s, err := Look(path)
	if err == nil && s.Running && s.PID > 1 {
		if p := process.Of(s.PID); p.Locks(path, byteRuns) {
			return p, true
		}
	}
	return search(path)
}

// search looks for the lock in all processes.
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

// poll is how often the end of a daemon is looked for.
const poll = 20 * time.Millisecond

// Stop ends the daemon of a pid file: TERM, then KILL when two thirds of the
// time are over. None running is success. It finds the daemon also where its pid
// file was removed or replaced, and signals no process that does not have the lock.
func Stop(ctx context.Context, path string) error {
	patience := time.Minute
	if deadline, ok := ctx.Deadline(); ok {
		patience = time.Until(deadline) * 2 / 3
	}
	impatient := time.NewTimer(patience)
	defer impatient.Stop()
	ticker := time.NewTicker(poll)
	defer ticker.Stop()
	var sent process.Process // got TERM
	for {
		if sent.Start == 0 || sent.Gone() {
			p, found := find(path)
			if s, err := Look(path); !found && (err != nil || !s.Running) {
				return err
			}
			sent = p
			p.Signal(unix.SIGTERM)
			p.Signal(unix.SIGCONT) // a stopped one would not see TERM
		}
		select {
		case <-ticker.C:
		case <-impatient.C:
			sent.Signal(unix.SIGKILL)
		case <-ctx.Done():
			if sent.Start == 0 {
				return fmt.Errorf("%s is locked by a process that is not visible here: %w", path, ctx.Err())
			}
			return fmt.Errorf("process %d does not end: %w", sent.PID, ctx.Err())
		}
	}
}

// readyFD is the descriptor on which a child says that it is ready.
const readyFD = 3

// readyText is what it says; anything else is an error message.
const readyText = "ready\n"

// Spawn starts a program in a session of its own, without our files, and waits
// until it is ready. The program calls Ready or Fail. argv is what it is called,
// then its arguments.
func Spawn(ctx context.Context, path string, argv, environ []string) error {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	reader, writer, err := os.Pipe()
	if err != nil {
		return err
	}
	defer reader.Close()
	child, err := os.StartProcess(path, argv, &os.ProcAttr{
		Dir: "/", Env: environ, Files: []*os.File{null, null, null, writer},
		Sys: &syscall.SysProcAttr{Setsid: true},
	})
	_ = writer.Close()
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { _ = reader.SetReadDeadline(time.Unix(1, 0)) })()
	text, err := io.ReadAll(io.LimitReader(reader, 4096))
	switch {
	case string(text) == readyText:
		return child.Release()
	case ctx.Err() != nil:
		err = fmt.Errorf("%s was not ready in time", filepath.Base(argv[0]))
	case len(text) > 0:
		err = errors.New(strings.TrimSpace(string(text)))
	case err == nil:
		err = fmt.Errorf("%s ended without a word", filepath.Base(argv[0]))
	}
	_ = child.Kill()
	_, _ = child.Wait()
	return err
}

// Ready tells the process that called Spawn that the daemon works.
func Ready() { tell(readyText) }

// Fail tells the process that called Spawn why the daemon ends.
func Fail(err error) { tell(err.Error() + "\n") }

// Awaited tells whether the process that called Spawn still waits. A daemon that
// asks behind Acquire and ends if not never begins behind a stop: before Acquire
// that does not find it.
func Awaited() bool {
	pipe := []unix.PollFd{{Fd: readyFD}}
	_, err := unix.Poll(pipe, 0)
	return err != nil || pipe[0].Revents&(unix.POLLERR|unix.POLLNVAL) == 0
}

func tell(text string) {
	pipe := os.NewFile(readyFD, "ready")
	_, _ = pipe.WriteString(text) // whoever waited may have gone
	_ = pipe.Close()
}

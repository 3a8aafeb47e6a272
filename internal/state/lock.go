package state

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"lvs-agents/internal/process"
)

// Lock locks a file and returns the function that releases the lock. who names the caller in the
// error messages of processes that wait. until is the caller's deadline; zero means none. The
// kernel releases the lock when the process ends.
//
// Lock waits while another process has the lock, until ctx ends. If the holder has passed its own
// deadline by more than the time grace, Lock kills it. This holder cannot finish its work, and
// would block a stop.
func Lock(ctx context.Context, path, who string, until time.Time) (func(), error) {
	file, err := openLock(path)
	if err != nil {
		return nil, err
	}
	err = flock(file, unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = waitForLock(ctx, file)
	} else if err != nil {
		_ = file.Close()
	}
	if err != nil {
		return nil, err
	}
	// On a full or read-only file system, the lock works, but the file does not name its holder.
	_ = writeHolder(file, who, until)
	return func() {
		// The file must not name this process after the lock is free: a process that waits could kill it.
		_ = file.Truncate(0)
		_ = file.Close()
	}, nil
}

// LockInHalf does the same as Lock, but waits for at most half of the time until the deadline of
// ctx. After this time, it returns an error. A caller can then continue without the lock if this is
// better than a failure: a stop changes only what its resource owns. The returned function is never
// nil.
func LockInHalf(ctx context.Context, path, who string) (func(), error) {
	until, limited := ctx.Deadline()
	if limited {
		half, cancel := context.WithTimeout(ctx, time.Until(until)/2)
		defer cancel()
		ctx = half
	}
	unlock, err := Lock(ctx, path, who, until)
	if err != nil {
		return func() {}, err
	}
	return unlock, nil
}

// openLock opens a lock file. On a read-only file system, an existing file can be locked as well.
func openLock(path string) (*os.File, error) {
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err != nil && !errors.Is(err, unix.EROFS) {
		return nil, err
	}
	file, err := Open(path, os.O_RDWR|os.O_CREATE)
	if errors.Is(err, unix.EROFS) {
		return Open(path, os.O_RDONLY)
	}
	return file, err
}

// waitForLock waits until the file is locked, or until ctx ends. After an error, it closes the file
// as soon as the kernel has ended the wait for the lock.
func waitForLock(ctx context.Context, file *os.File) error {
	locked := make(chan error, 1)
	go func() { locked <- flock(file, unix.LOCK_EX) }()
	for {
		h := holderOf(file)
		if h.expired() {
			h.kill()
		}
		again := time.NewTimer(h.left())
		select {
		case err := <-locked:
			again.Stop()
			if err != nil {
				_ = file.Close()
			}
			return err
		case <-again.C:
		case <-ctx.Done():
			again.Stop()
			go func() {
				<-locked
				_ = file.Close()
			}()
			return fmt.Errorf("%s has the lock: %w", h, ctx.Err())
		}
	}
}

func flock(file *os.File, how int) error {
	for {
		if err := unix.Flock(int(file.Fd()), how); err != unix.EINTR {
			return err
		}
	}
}

// holder is the process that has the lock. It writes these values into the lock file.
type holder struct {
	process process.Process
	// deadline is the time since boot when the holder must have ended. Zero means no deadline.
	deadline time.Duration
	who      string
}

func writeHolder(file *os.File, who string, until time.Time) error {
	h := holder{process: process.Self(), who: who}
	if !until.IsZero() {
		h.deadline = SinceBoot() + time.Until(until)
	}
	line := fmt.Sprintf("%d %d %d %s\n", h.process.PID, h.process.Start, h.deadline, h.who)
	if err := file.Truncate(0); err != nil {
		return err
	}
	_, err := file.WriteAt([]byte(line), 0)
	return err
}

// holderOf reads the holder of a lock from the lock file. The holder is zero if its process has not
// written the values yet, or could not write them.
func holderOf(file *os.File) holder {
	text := make([]byte, 4096)
	n, _ := file.ReadAt(text, 0)
	line, _, _ := strings.Cut(string(text[:n]), "\n")
	words := strings.SplitN(line, " ", 4)
	if len(words) != 4 {
		return holder{}
	}
	pid, err1 := strconv.Atoi(words[0])
	start, err2 := strconv.ParseUint(words[1], 10, 64)
	deadline, err3 := strconv.ParseInt(words[2], 10, 64)
	if errors.Join(err1, err2, err3) != nil {
		return holder{}
	}
	return holder{process.Process{PID: pid, Start: start}, time.Duration(deadline), words[3]}
}

// grace is how long a holder can run after its deadline before a waiter kills it. In this time the
// holder can end on its own.
const grace = 500 * time.Millisecond

func (h holder) expired() bool { return h.deadline != 0 && SinceBoot() > h.deadline+grace }

// left returns the time until a waiter reads the lock file again. If the holder is unknown or was
// just killed, the time is short. For a holder without a deadline, it is an hour. Otherwise, it is
// the time until the waiter can kill the holder.
func (h holder) left() time.Duration {
	const soon = 20 * time.Millisecond
	if h.process.PID == 0 || h.expired() {
		return soon
	}
	if h.deadline == 0 {
		return time.Hour
	}
	return h.deadline + grace - SinceBoot() + soon
}

// kill kills the process of the holder, unless the kernel has given its pid to another process.
func (h holder) kill() { h.process.Signal(unix.SIGKILL) }

// String returns the text that names the holder in error messages.
func (h holder) String() string {
	if h.process.PID == 0 {
		return "another process"
	}
	return fmt.Sprintf("%s (process %d)", h.who, h.process.PID)
}

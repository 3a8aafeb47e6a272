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

// Lock locks a file and returns the function that gives the lock to the next process.
// It kills a holder that is past its own deadline, because that holder cannot finish and would
// block a stop. who names the caller for processes that wait, until is the
// caller's deadline, and ctx bounds the wait only. The lock ends with the process.
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
	_ = writeHolder(file, who, until) // on a full disk only the name of the holder is missing
	return func() {
		_ = file.Truncate(0) // so that no waiter kills this process later
		_ = file.Close()
	}, nil
}

// LockInHalf waits for at most half of the time that is left. A monitor, and a stop, which
// changes only what its resource owns, continue without the lock rather than fail. The
// function that it returns is never nil.
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

// openLock opens a lock file. On a read-only file system an existing file can still be locked.
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

// waitForLock returns nil when the file is locked, and closes it otherwise.
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

// holder is the process that has the lock. It writes itself into the lock file.
type holder struct {
	process  process.Process
	deadline time.Duration // since boot; zero for none
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

// holderOf reads the holder of a lock. It is zero if the holder has not written its name yet.
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

// grace is how long a holder can be past its deadline. In this time it can end on its own.
const grace = 500 * time.Millisecond

func (h holder) expired() bool { return h.deadline != 0 && SinceBoot() > h.deadline+grace }

// left is how long the holder can still have the lock. A waiter soon reads the file
// again if the holder is unknown or was just killed.
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

// kill ends the holder, unless another process has its pid now.
func (h holder) kill() { h.process.Signal(unix.SIGKILL) }

// String returns the holder for error messages.
func (h holder) String() string {
	if h.process.PID == 0 {
		return "another process"
	}
	return fmt.Sprintf("%s (process %d)", h.who, h.process.PID)
}

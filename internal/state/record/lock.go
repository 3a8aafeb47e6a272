package record

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
	"lvs-agents/internal/state"
)

// Lock waits until nobody else changes the IPVS table of this network
// namespace and returns the function that lets the next one in. A holder that is
// past its own deadline is killed: it cannot finish and would block a stop.
// who names the caller for those who wait, and until is its own deadline; ctx
// bounds the wait only. The lock ends with the process.
func (s Store) Lock(ctx context.Context, who string, until time.Time) (func(), error) {
	unlock, err := lock(ctx, s.lock, who, until)
	if err != nil {
		return nil, fmt.Errorf("locking the IPVS table: %w", err)
	}
	return unlock, nil
}

// LockInHalf waits for at most half of the time that is left: a look, and a stop,
// which changes nothing but its own services, had better go on without the lock
// than fail. The function that it returns is never nil.
func (s Store) LockInHalf(ctx context.Context, who string) (func(), error) {
	return inHalf(ctx, who, s.Lock)
}

// LockHostInHalf is to LockHost what LockInHalf is to Lock.
func (s Store) LockHostInHalf(ctx context.Context, who string) (func(), error) {
	return inHalf(ctx, who, s.LockHost)
}

func inHalf(ctx context.Context, who string, lock func(context.Context, string, time.Time) (func(), error)) (func(), error) {
	until, limited := ctx.Deadline()
	if limited {
		half, cancel := context.WithTimeout(ctx, time.Until(until)/2)
		defer cancel()
		ctx = half
	}
	unlock, err := lock(ctx, who, until)
	if err != nil {
		return func() {}, err
	}
	return unlock, nil
}

func lock(ctx context.Context, path, who string, until time.Time) (func(), error) {
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
	_ = writeHolder(file, who, until) // a full disk costs others our name, not us the lock
	return func() {
		_ = file.Truncate(0) // nobody shall be killed for what we were
		_ = file.Close()
	}, nil
}

// openLock opens a lock file. On a file system that is read-only, one that is there
// can still be locked.
func openLock(path string) (*os.File, error) {
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err != nil && !errors.Is(err, unix.EROFS) {
		return nil, err
	}
	file, err := state.Open(path, os.O_RDWR|os.O_CREATE)
	if errors.Is(err, unix.EROFS) {
		return state.Open(path, os.O_RDONLY)
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

// holder is who has the lock, as it wrote itself into the lock file.
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

// holderOf reads who has the lock; the zero holder is one that has not written
// its name yet.
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

// grace is how long a holder may be past its deadline: long enough for it to
// notice by itself.
const grace = 500 * time.Millisecond

func (h holder) expired() bool { return h.deadline != 0 && SinceBoot() > h.deadline+grace }

// left is how long the holder may still have the lock; a holder that is not
// known yet, or was just killed, is asked again soon.
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

// kill ends a holder whose pid has not gone to another process meanwhile.
func (h holder) kill() { h.process.Signal(unix.SIGKILL) }

// String is for error messages.
func (h holder) String() string {
	if h.process.PID == 0 {
		return "another process"
	}
	return fmt.Sprintf("%s (process %d)", h.who, h.process.PID)
}

// SinceBoot is CLOCK_BOOTTIME: the same for all processes, and no clock change
// moves it.
func SinceBoot() time.Duration {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &now); err != nil {
		return 0
	}
	return time.Duration(now.Nano())
}

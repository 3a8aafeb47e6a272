package program

import (
	"context"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Limit returns how many sessions can run at once: a quarter of the processes that this process can
// have, but from 16 to 1000. The rest is for the children of programs and for the threads of Go's
// runtime, which aborts if it cannot start a thread.
func Limit() int { return limit(processes()) }

func limit(processes uint64) int {
	const least, most = 16, 1000
	return int(min(max(least, processes/4), most))
}

// enter waits until fewer sessions run than the limit, and counts one more session. leave counts
// one session less. If ctx ends first, enter returns an error. Long reports whether enter has
// waited for more than a tenth of the time until the deadline of ctx.
func (s *Set) enter(ctx context.Context) (long bool, err error) {
	if s == nil {
		return false, nil
	}
	select {
	case s.room <- struct{}{}:
		return false, nil
	default:
	}
	deadline, _ := ctx.Deadline()
	whole := time.Until(deadline)
	select {
	case s.room <- struct{}{}:
		return time.Until(deadline) < whole*9/10, nil
	case <-ctx.Done():
		return true, s.full()
	}
}

func (s *Set) leave() {
	if s != nil {
		<-s.room
	}
}

// full returns the error of a session that did not start, or started late, because too many
// sessions run. It is an error of this host, like an error of fork, so that the caller does not
// blame a real server.
func (s *Set) full() error {
	return fmt.Errorf("not started in time, because %d other programs are running: %w", cap(s.room), unix.EAGAIN)
}

// processes returns how many processes this process can have: the lower of RLIMIT_NPROC and the
// pids.max of its control groups.
func processes() uint64 {
	limit := unix.Rlimit{Cur: math.MaxUint64}
	_ = unix.Getrlimit(unix.RLIMIT_NPROC, &limit) // Getrlimit never fails with these arguments.
	return min(limit.Cur, pidsMax(os.DirFS("/")))
}

// pidsMax returns the lowest pids.max of the control groups that contain this process. It reads
// control groups of version 1 and of version 2.
func pidsMax(root fs.FS) uint64 {
	least := uint64(math.MaxUint64)
	groups, _ := fs.ReadFile(root, "proc/self/cgroup") // a kernel without control groups does not have this file
	for line := range strings.Lines(string(groups)) {
		// The fields are a number, controllers and a path.
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) < 3 || fields[1] != "" && fields[1] != "pids" {
			continue
		}
		top := path.Join("sys/fs/cgroup", fields[1])
		for dir := path.Join(top, fields[2]); strings.HasPrefix(dir, top); dir = path.Dir(dir) {
			text, _ := fs.ReadFile(root, path.Join(dir, "pids.max")) // Not every group has this file. Then text is empty.
			if n, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64); err == nil {
				least = min(least, n)
			}
		}
	}
	return least
}

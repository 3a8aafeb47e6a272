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
// have. Programs have children, and Go's runtime aborts if it cannot start a thread.
func Limit() int { return limit(processes()) }

func limit(processes uint64) int {
	const least, most = 16, 1000
	return int(min(max(least, processes/4), most))
}

// enter waits for room for one more session; leave gives the room back. Long reports whether that
// took more than a tenth of the time that ctx leaves.
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

// full is an error of this host, as an error of fork is: a real server is not to blame.
func (s *Set) full() error {
	return fmt.Errorf("not started in time, because %d other programs are running: %w", cap(s.room), unix.EAGAIN)
}

// processes returns the lower of RLIMIT_NPROC and pids.max.
func processes() uint64 {
	limit := unix.Rlimit{Cur: math.MaxUint64}
	_ = unix.Getrlimit(unix.RLIMIT_NPROC, &limit) // never fails
	return min(limit.Cur, pidsMax(os.DirFS("/")))
}

// pidsMax returns the least pids.max of the control groups of this process, of either
// version of their hierarchy.
func pidsMax(root fs.FS) uint64 {
	least := uint64(math.MaxUint64)
	groups, _ := fs.ReadFile(root, "proc/self/cgroup") // a kernel may have none
	for line := range strings.Lines(string(groups)) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3) // number, controllers, path
		if len(fields) < 3 || fields[1] != "" && fields[1] != "pids" {
			continue
		}
		top := path.Join("sys/fs/cgroup", fields[1])
		for dir := path.Join(top, fields[2]); strings.HasPrefix(dir, top); dir = path.Dir(dir) {
			text, _ := fs.ReadFile(root, path.Join(dir, "pids.max")) // the root group has none
			if n, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64); err == nil {
				least = min(least, n)
			}
		}
	}
	return least
}

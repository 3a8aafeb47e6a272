package check

import (
	"io/fs"
	"math"
	"os"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// room is how many checks may run programs at once: a quarter of the processes
// that this one may have, since programs have children and Go's runtime aborts
// when it gets no thread.
func room(processes uint64) int {
	const least, most = 16, 1000
	return int(min(max(least, processes/4), most))
}

// processes is the lower of RLIMIT_NPROC and pids.max.
func processes() uint64 {
	limit := unix.Rlimit{Cur: math.MaxUint64}
	_ = unix.Getrlimit(unix.RLIMIT_NPROC, &limit) // never fails
	return min(limit.Cur, pidsMax(os.DirFS("/")))
}

// pidsMax is the least pids.max of the control groups of this process, of either
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

// Package process finds other processes of this host in /proc and sends signals to them. It also
// starts a program as a daemon. After a process ends, the kernel can give its pid to another
// process. So the package identifies a process by its pid and its start time.
package process

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Process is the state of a process at the moment when the package read it from /proc.
type Process struct {
	PID int
	// Start is the start time in clock ticks since boot (field 22 of /proc/PID/stat). Zero means
	// unknown.
	Start uint64
	// State is the letter in /proc/PID/stat: T is stopped by a signal, t by a tracer, Z is a
	// zombie.
	State byte
}

// Of reads the process with this pid from /proc. Start is zero if no process has the pid.
func Of(pid int) Process {
	p := Process{PID: pid}
	text, err := Read(p.path("stat"))
	if err != nil {
		return p
	}
	// The second field of the line is the name of the program in parentheses. The name can contain
	// any byte.
	words := strings.Fields(string(text)[strings.LastIndexByte(string(text), ')')+1:])
	const start = 22 - 3 // The first word is field 3, so field 22 has this index.
	if len(words) <= start {
		return p
	}
	p.State = words[0][0]
	p.Start, _ = strconv.ParseUint(words[start], 10, 64)
	return p
}

// Self returns the calling process.
func Self() Process { return Of(os.Getpid()) }

// All returns all processes of this host.
func All() []Process { return running(func(int) bool { return true }) }

// Running returns the processes of this host whose command line the function want accepts. Of all
// other processes, it reads only the command line.
func Running(want func(args []string) bool) []Process {
	return running(func(pid int) bool { return want(Process{PID: pid}.Args()) })
}

func running(want func(pid int) bool) []Process {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var found []Process
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil || !want(pid) {
			continue
		}
		if p := Of(pid); p.Start != 0 {
			found = append(found, p)
		}
	}
	return found
}

// Read returns the contents of a file in /proc. os.ReadFile takes twice as many system calls,
// because it tries to add each file to Go's poller (docs/adr/0068-start-up-of-an-agent.md).
func Read(path string) ([]byte, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	file := os.NewFile(uintptr(fd), path)
	defer file.Close()
	return io.ReadAll(file)
}

func (p Process) path(name string) string { return fmt.Sprintf("/proc/%d/%s", p.PID, name) }

// Before reports whether p began before q. If both began in the same clock tick, Before compares
// their pids.
func (p Process) Before(q Process) bool {
	if p.Start != q.Start {
		return p.Start < q.Start
	}
	return p.PID < q.PID
}

// ticks is the number of clock ticks per second in /proc (USER_HZ).
const ticks = 100

// Age returns the time since the process began, or 0 if the clock cannot be read.
func (p Process) Age() time.Duration {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &now); err != nil {
		return 0
	}
	return time.Duration(now.Nano()) - time.Duration(p.Start)*(time.Second/ticks)
}

// Stopped reports whether a signal or a tracer has stopped the process.
func (p Process) Stopped() bool { return p.State == 'T' || p.State == 't' }

// Args returns the command line of the process. The result is empty if this process cannot read the
// command line.
func (p Process) Args() []string { return p.words("cmdline") }

// Environ returns the environment that the process began with. The result is empty if this process
// cannot read the environment.
func (p Process) Environ() []string { return p.words("environ") }

func (p Process) words(name string) []string {
	text, err := Read(p.path(name))
	if err != nil || len(text) == 0 {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(text), "\x00"), "\x00")
}

// Namespace returns the name of the network namespace of the process, such as "net:[4026531840]".
// The name is empty if this process cannot read it.
func (p Process) Namespace() string {
	name, err := os.Readlink(p.path("ns/net"))
	if err != nil {
		return ""
	}
	return name
}

// In reports whether a thread of the process is in the network namespace of this name. An agent
// that works in another network namespace keeps threads in the namespace of its caller.
func (p Process) In(namespace string) bool {
	// If the process has ended, the list is empty.
	threads, _ := filepath.Glob(p.path("task/*/ns/net"))
	return slices.ContainsFunc(threads, func(path string) bool {
		name, err := os.Readlink(path)
		return err == nil && name == namespace
	})
}

// Owner returns the effective user ID of the process. It returns 0 for a process that is not
// dumpable (prctl(2)), and -1 if the process has ended.
func (p Process) Owner() int {
	var info unix.Stat_t
	if err := unix.Stat(fmt.Sprintf("/proc/%d", p.PID), &info); err != nil {
		return -1
	}
	return int(info.Uid)
}

// Locks reports whether the process has an open file description lock (fcntl(2), F_OFD_SETLK) on
// the byte at offset at of a file. It also finds locks on a file that was removed. path must not
// contain symbolic links. The source of the locks is /proc/PID/fdinfo (proc(5)).
func (p Process) Locks(path string, at int64) bool {
	entries, err := os.ReadDir(p.path("fd"))
	if err != nil {
		return false
	}
	for _, entry := range entries {
		target, err := os.Readlink(filepath.Join(p.path("fd"), entry.Name()))
		if err != nil || target != path && target != path+" (deleted)" {
			continue
		}
		info, _ := os.ReadFile(filepath.Join(p.path("fdinfo"), entry.Name()))
		for line := range strings.Lines(string(info)) {
			if holds(line, at) {
				return true
			}
		}
	}
	return false
}

// Locked reports whether any process can have an open file description lock on the byte at offset
// at of any file. It returns true if it cannot read /proc/locks. A call of Locked is much faster
// than a call of Locks for each process.
func Locked(at int64) bool {
	text, err := os.ReadFile("/proc/locks")
	if err != nil {
		return true
	}
	for line := range strings.Lines(string(text)) {
		if holds("lock: "+line, at) {
			return true
		}
	}
	return false
}

// holds reports whether a line of fdinfo names a lock on the byte at offset at. An example of a
// line is "lock: 1: OFDLCK ADVISORY WRITE -1 00:1a:1234 0 EOF". The lock can include more bytes,
// because the kernel joins adjacent ranges.
func holds(line string, at int64) bool {
	words := strings.Fields(line)
	if len(words) < 9 || words[0] != "lock:" || words[2] != "OFDLCK" {
		return false
	}
	first, err := strconv.ParseInt(words[7], 10, 64)
	if err != nil || first > at {
		return false
	}
	last, err := strconv.ParseInt(words[8], 10, 64)
	return err != nil || at <= last // If the last word is EOF, the lock includes all later bytes.
}

// Gone reports whether the process has ended. A zombie counts as ended, although its parent has not
// waited for it yet. It does not count as ended while other threads of the process run.
func (p Process) Gone() bool {
	now := Of(p.PID)
	if now.Start != p.Start {
		return true
	}
	if now.State != 'Z' && now.State != 'X' {
		return false
	}
	threads, err := os.ReadDir(p.path("task"))
	return err != nil || len(threads) <= 1
}

// Signal sends a signal to the process. It sends nothing if the process has ended, if its start
// time is unknown, or if its pid is 1. Before Linux 5.3, another process can have got the pid just
// before the signal.
func (p Process) Signal(signal unix.Signal) {
	if p.PID <= 1 || p.Start == 0 {
		return
	}
	fd, err := unix.PidfdOpen(p.PID, 0)
	if err != nil { // PidfdOpen fails before Linux 5.3, or if the process has ended.
		if !p.Gone() {
			_ = unix.Kill(p.PID, signal)
		}
		return
	}
	defer func() { _ = unix.Close(fd) }()
	if !p.Gone() {
		_ = unix.PidfdSendSignal(fd, signal, nil, 0)
	}
}

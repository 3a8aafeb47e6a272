// Package process finds other processes of this host in /proc and signals them, and
// starts a program as a daemon. A pid can go to another process, so every process is
// identified by its start time too.
package process

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Process is a process at the moment when it was read from /proc.
type Process struct {
	PID   int
	Start uint64 // start time in clock ticks since boot, /proc/PID/stat field 22; zero for unknown
	State byte   // its letter in /proc/PID/stat: T for stopped by a signal, t by a tracer, Z for ended
}

// Of returns the process with this pid; its Start is zero if no process has it.
func Of(pid int) Process {
	p := Process{PID: pid}
	text, err := os.ReadFile(p.path("stat"))
	if err != nil {
		return p
	}
	// The second field is a name in parentheses and may hold anything.
	words := strings.Fields(string(text)[strings.LastIndexByte(string(text), ')')+1:])
	const start = 22 - 3 // the first field after the name is the third
	if len(words) <= start {
		return p
	}
	p.State = words[0][0]
	p.Start, _ = strconv.ParseUint(words[start], 10, 64)
	return p
}

// Self is the calling process.
func Self() Process { return Of(os.Getpid()) }

// All returns the processes that are there now.
func All() []Process {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var all []Process
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		if p := Of(pid); p.Start != 0 {
			all = append(all, p)
		}
	}
	return all
}

func (p Process) path(name string) string { return fmt.Sprintf("/proc/%d/%s", p.PID, name) }

// Before reports whether p began before q. Of two that began in the same tick,
// the one with the lower pid did.
func (p Process) Before(q Process) bool {
	if p.Start != q.Start {
		return p.Start < q.Start
	}
	return p.PID < q.PID
}

// ticks is how many clock ticks the kernel reports for a second, USER_HZ.
const ticks = 100

// Age is how long ago the process began.
func (p Process) Age() time.Duration {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &now); err != nil {
		return 0
	}
	return time.Duration(now.Nano()) - time.Duration(p.Start)*(time.Second/ticks)
}

// Stopped reports whether a signal or a tracer keeps the process from running.
func (p Process) Stopped() bool { return p.State == 'T' || p.State == 't' }

// Args returns the command line, Environ the environment that the process began
// with; nothing if they cannot be read.
func (p Process) Args() []string { return p.words("cmdline") }

// Environ is described with Args.
func (p Process) Environ() []string { return p.words("environ") }

func (p Process) words(name string) []string {
	text, err := os.ReadFile(p.path(name))
	if err != nil || len(text) == 0 {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(text), "\x00"), "\x00")
}

// Namespace returns the name of the network namespace of the process, such as
// "net:[4026531840]". It is empty if that cannot be read.
func (p Process) Namespace() string {
	name, err := os.Readlink(p.path("ns/net"))
	if err != nil {
		return ""
	}
	return name
}

// Owner is the user that the process runs as, -1 if it has ended.
func (p Process) Owner() int {
	var info unix.Stat_t
	if err := unix.Stat(fmt.Sprintf("/proc/%d", p.PID), &info); err != nil {
		return -1
	}
	return int(info.Uid)
}

// Locks reports whether the process has a lock of an open file (F_OFD_SETLK) on this
// byte of a file. The file can be removed since. proc(5), fdinfo.
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

// Locked reports whether any process may have a lock of an open file on this byte
// of some file. It is much faster than reading all processes.
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

// holds reads a line "lock: 1: OFDLCK ADVISORY WRITE -1 00:1a:1234 0 EOF". The
// kernel makes one range of adjacent ones.
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
	return err != nil || at <= last // EOF
}

// Gone reports whether the process has ended. A zombie, whose parent has not waited for
// it, counts as ended.
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

// Signal sends a signal, unless the pid has gone to another process.
func (p Process) Signal(signal unix.Signal) {
	if p.PID <= 1 || p.Start == 0 {
		return
	}
	fd, err := unix.PidfdOpen(p.PID, 0)
	if err != nil { // Linux before 5.3, or it has ended
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

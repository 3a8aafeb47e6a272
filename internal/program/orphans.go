package program

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// An orphan is a process that a program has left and whose parent has ended. The kernel makes each
// orphan a child of this process, even if the orphan has left its session, because this process is
// a subreaper (prctl(2)). killMarked recognizes the orphans of a session by a mark in their
// environment. It does not find an orphan that has emptied its environment.

const markName = "DIRECTORD_CHECK="

// mark returns a new variable for the environment of one session. The variable marks the processes
// of the session. It is empty if s is nil.
func (s *Set) mark() string {
	if s == nil {
		return ""
	}
	return markName + strconv.Itoa(os.Getpid()) + "." + strconv.FormatUint(s.count.Add(1), 10)
}

// environment returns the environment of the programs of a session. It is nil if s is nil.
func (s *Set) environment(mark string) []string {
	if s == nil {
		return nil
	}
	return append(slices.Clone(s.environ), mark)
}

// grace is how long killMarked searches for processes at most. Without this limit, it would not end
// if processes start new processes faster than it kills them.
const grace = time.Second

// readings is how many times in a row killMarked reads an environment that is empty. The
// environment of a process seems empty for a moment when the process starts another program
// (fs/proc/base.c, environ_read).
const readings = 20

// killMarked kills the processes that a program with this mark has left. Each round kills children
// of this process. The kernel then makes the children of a killed process children of this process,
// and the next round finds them.
func (s *Set) killMarked(mark string) {
	if s == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	for left := readings; ctx.Err() == nil && left > 0; {
		switch changed, unclear := s.kill(mark); {
		case changed:
			left = readings
		case unclear:
			left--
		default:
			return
		}
		<-time.After(time.Millisecond) // A killed process needs a moment until it has ended.
	}
}

// kill kills the orphans that have this mark. Changed reports whether kill has killed an orphan, or
// an orphan has ended or has no command line. An orphan without a command line is about to end or
// starts another program. When an orphan ends, the kernel gives its children to this process,
// perhaps after kill has listed them. Unclear reports whether an orphan with a command line has an
// empty environment.
func (s *Set) kill(mark string) (changed, unclear bool) {
	for _, pid := range s.strays() {
		switch environ := procFile(pid, "environ"); {
		case reap(pid):
			changed = true
		case bytes.Contains(append([]byte{0}, environ...), []byte("\x00"+mark+"\x00")):
			changed = true
			_ = unix.Kill(pid, unix.SIGKILL) // a Kill error is normal: the process can have ended already
		case len(environ) > 0:
		case len(procFile(pid, "cmdline")) == 0:
			changed = true
		default:
			unclear = true
		}
	}
	return changed, unclear
}

// Reap waits for orphans that have ended, so that they do not stay zombies. If another goroutine
// has the lock of the Set, Reap returns at once: a goroutine that starts a program has the lock,
// and that start can hang in a file system.
func (s *Set) Reap() {
	if s == nil || !s.mu.TryLock() {
		return
	}
	pids := s.straysLocked()
	s.mu.Unlock()
	for _, pid := range pids {
		reap(pid)
	}
}

// reap reports whether a child has ended. If the child has ended, reap has also waited for it.
func reap(pid int) bool {
	ended, err := unix.Wait4(pid, nil, unix.WNOHANG, nil)
	return err == nil && ended == pid
}

func (s *Set) strays() []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.straysLocked()
}

// straysLocked returns the pids of the orphans: the children of this process that no goroutine
// waits for. Children in the process group of this process are not orphans. Other packages started
// them and wait for them.
func (s *Set) straysLocked() []int {
	group := unix.Getpgrp()
	var pids []int
	for _, pid := range children() {
		if s.own[pid] {
			continue
		}
		if of, err := unix.Getpgid(pid); err == nil && of != group {
			pids = append(pids, pid)
		}
	}
	return pids
}

// children returns the pids of the children of the first thread of this process. The kernel gives
// orphans to the first thread.
func children() []int {
	self := strconv.Itoa(os.Getpid())
	text, err := os.ReadFile(filepath.Join("/proc", self, "task", self, "children"))
	if err != nil {
		return nil // The kernel was built without CONFIG_PROC_CHILDREN.
	}
	var pids []int
	for word := range strings.FieldsSeq(string(text)) {
		if pid, err := strconv.Atoi(word); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// procFile returns the text of a file in /proc/PID. The text is empty if the process has ended.
// procFile reads the whole text in one call. With two calls, the end of the text is missing if the
// process starts another program between them.
func procFile(pid int, name string) []byte {
	file, err := os.Open(filepath.Join("/proc", strconv.Itoa(pid), name))
	if err != nil {
		return nil
	}
	defer file.Close()
	for size := 1 << 16; ; size *= 4 {
		text := make([]byte, size)
		n, _ := file.ReadAt(text, 0) // An error is normal: io.EOF, or the process has ended. n then counts the bytes that were read.
		if n < size {
			return text[:n]
		}
	}
}

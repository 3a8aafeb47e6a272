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

// A process that outlives its program becomes a child of this process, even if it has left the
// session: this process is a subreaper (prctl(2)). It is found by a mark in its environment. A
// program that empties its environment escapes.

const markName = "DIRECTORD_CHECK="

// mark returns a setting for the environment of one session. It is empty for nil.
func (s *Set) mark() string {
	if s == nil {
		return ""
	}
	return markName + strconv.Itoa(os.Getpid()) + "." + strconv.FormatUint(s.count.Add(1), 10)
}

// environment returns the environment of a session. It is nil for nil.
func (s *Set) environment(mark string) []string {
	if s == nil {
		return nil
	}
	return append(slices.Clone(s.environ), mark)
}

// grace bounds the search for processes that start new ones faster than they are killed.
const grace = time.Second

// readings is how often an empty environment is read. A process that has just become another
// program seems to have an empty one (fs/proc/base.c, environ_read).
const readings = 20

// killMarked kills the processes that a program with this mark has left. Each round kills
// children of this process; their children are found in the next round.
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
		<-time.After(time.Millisecond) // a killed process needs a moment to end
	}
}

// kill kills the children with a mark. Changed reports whether a child was killed, has ended or
// is about to end: the kernel then gives its children to this process, perhaps after they were
// listed.
func (s *Set) kill(mark string) (changed, unclear bool) {
	for _, pid := range s.strays() {
		switch environ := procFile(pid, "environ"); {
		case reap(pid):
			changed = true
		case bytes.Contains(append([]byte{0}, environ...), []byte("\x00"+mark+"\x00")):
			changed = true
			_ = unix.Kill(pid, unix.SIGKILL) // it may have ended
		case len(environ) > 0:
		case len(procFile(pid, "cmdline")) == 0:
			changed = true
		default:
			unclear = true
		}
	}
	return changed, unclear
}

// Reap waits for orphans that have ended. It returns at once if a program is being started,
// which can hang in a file system.
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

// reap reports whether a child has ended, and waits for it then.
func reap(pid int) bool {
	ended, err := unix.Wait4(pid, nil, unix.WNOHANG, nil)
	return err == nil && ended == pid
}

func (s *Set) strays() []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.straysLocked()
}

// straysLocked returns the children of this process that no starter waits for. Children in its own
// process group were started by libraries, which wait for them.
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

// children returns the children of the first thread, which gets the orphans from the kernel.
func children() []int {
	self := strconv.Itoa(os.Getpid())
	text, err := os.ReadFile(filepath.Join("/proc", self, "task", self, "children"))
	if err != nil {
		return nil // a kernel without CONFIG_PROC_CHILDREN
	}
	var pids []int
	for word := range strings.FieldsSeq(string(text)) {
		if pid, err := strconv.Atoi(word); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// procFile reads a file of a process; it is empty if the process is gone. It reads everything at
// once: if the process becomes another program between two readings, the end is missing.
func procFile(pid int, name string) []byte {
	file, err := os.Open(filepath.Join("/proc", strconv.Itoa(pid), name))
	if err != nil {
		return nil
	}
	defer file.Close()
	for size := 1 << 16; ; size *= 4 {
		text := make([]byte, size)
		n, _ := file.ReadAt(text, 0) // io.EOF, or the process has ended
		if n < size {
			return text[:n]
		}
	}
}

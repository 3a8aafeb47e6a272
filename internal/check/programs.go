package check

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"lvs-agents/internal/execvp"
)

// Programs are the programs that this process has started. What they leave behind
// becomes a child of this process, also with a session of its own, and is found
// by a mark in its environment; a program that empties that escapes.
type Programs struct {
	environ []string      // of this process
	count   atomic.Uint64 // of the marks
	room    chan struct{} // holds one for each check that runs a program

	mu  sync.Mutex
	own map[int]bool // waited for by whoever has started them
}

// NewPrograms makes this process the one that orphans of its programs go to.
// environ is what the programs get.
func NewPrograms(environ []string) (*Programs, error) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return nil, fmt.Errorf("prctl: %w", err)
	}
	return &Programs{environ: environ, room: make(chan struct{}, room(processes())), own: map[int]bool{}}, nil
}

// enter waits for room for one more check, which leave gives back; long tells
// whether that took more than a tenth of its time.
func (p *Programs) enter(ctx context.Context) (long bool, err error) {
	if p == nil {
		return false, nil
	}
	select {
	case p.room <- struct{}{}:
		return false, nil
	default:
	}
	deadline, _ := ctx.Deadline()
	whole := time.Until(deadline)
	select {
	case p.room <- struct{}{}:
		return time.Until(deadline) < whole*9/10, nil
	case <-ctx.Done():
		return true, p.full()
	}
}

func (p *Programs) leave() {
	if p != nil {
		<-p.room
	}
}

// full is an error of this host, as that of fork: it says nothing about a server.
func (p *Programs) full() error {
	return fmt.Errorf("no room in time beside %d other programs: %w", cap(p.room), unix.EAGAIN)
}

// Start starts a program as execvp.Start does. Its process is left alone until
// Ended.
func (p *Programs) Start(argv []string, build func(argv []string) *exec.Cmd) (*exec.Cmd, error) {
	if p == nil {
		return execvp.Start(argv, build, (*exec.Cmd).Start)
	}
	return execvp.Start(argv, build, func(cmd *exec.Cmd) error {
		p.mu.Lock()
		defer p.mu.Unlock()
		err := cmd.Start()
		if err == nil {
			p.own[cmd.Process.Pid] = true
		}
		return err
	})
}

// Ended is called when the process of a command was waited for.
func (p *Programs) Ended(cmd *exec.Cmd) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.own, cmd.Process.Pid)
}

const markName = "DIRECTORD_CHECK="

// mark is a setting for the environment of a program that nothing else has; empty
// for nil.
func (p *Programs) mark() string {
	if p == nil {
		return ""
	}
	return markName + strconv.Itoa(os.Getpid()) + "." + strconv.FormatUint(p.count.Add(1), 10)
}

// environment is nil for nil: that of this process.
func (p *Programs) environment(mark string) []string {
	if p == nil {
		return nil
	}
	return append(slices.Clone(p.environ), mark)
}

// grace bounds how long processes are looked for that start new ones faster than
// they can be killed.
const grace = time.Second

// looks is how often a process without an environment is looked at: one that has
// just become another program seems to have none (fs/proc/base.c, environ_read).
const looks = 20

// killMarked kills what a program has left behind that has ended itself: each
// round kills this process's children with its mark, whose children are found in
// the next.
func (p *Programs) killMarked(mark string) {
	if p == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	for left := looks; ctx.Err() == nil && left > 0; {
		switch changed, unclear := p.kill(mark); {
		case changed:
			left = looks
		case unclear:
			left--
		default:
			return
		}
		<-time.After(time.Millisecond) // to die takes a moment
	}
}

// kill tells whether a child was killed, has ended, or is about to: such a one
// hands its own children to this process, perhaps after they were listed.
func (p *Programs) kill(mark string) (changed, unclear bool) {
	for _, pid := range p.strays() {
		switch environ := procFile(pid, "environ"); {
		case reap(pid):
			changed = true
		case bytes.Contains(append([]byte{0}, environ...), []byte("\x00"+mark+"\x00")):
			changed = true
			_ = unix.Kill(pid, unix.SIGKILL) // it may end by itself
		case len(environ) > 0:
		case len(procFile(pid, "cmdline")) == 0:
			changed = true
		default:
			unclear = true
		}
	}
	return changed, unclear
}

// Reap waits for orphans that have ended. It does not wait for a program that is
// just being started, which may hang in a file system.
func (p *Programs) Reap() {
	if p == nil || !p.mu.TryLock() {
		return
	}
	pids := p.straysLocked()
	p.mu.Unlock()
	for _, pid := range pids {
		reap(pid)
	}
}

// reap tells whether a child has ended, and waits for it then.
func reap(pid int) bool {
	ended, err := unix.Wait4(pid, nil, unix.WNOHANG, nil)
	return err == nil && ended == pid
}

func (p *Programs) strays() []int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.straysLocked()
}

// straysLocked are the children of this process that it has not started as programs.
// Those in its own process group were started by libraries, which wait for them.
func (p *Programs) straysLocked() []int {
	group := unix.Getpgrp()
	var pids []int
	for _, pid := range children() {
		if p.own[pid] {
			continue
		}
		if of, err := unix.Getpgid(pid); err == nil && of != group {
			pids = append(pids, pid)
		}
	}
	return pids
}

// children are those of the first thread, which is the one that the kernel
// gives orphans to.
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

// procFile is empty for a process that is gone. It reads all at once: a process
// that becomes another program between two reads has its end cut off.
func procFile(pid int, name string) []byte {
	file, err := os.Open(filepath.Join("/proc", strconv.Itoa(pid), name))
	if err != nil {
		return nil
	}
	defer file.Close()
	for size := 1 << 16; ; size *= 4 {
		text := make([]byte, size)
		n, _ := file.ReadAt(text, 0) // io.EOF, or the process is gone meanwhile
		if n < size {
			return text[:n]
		}
	}
}

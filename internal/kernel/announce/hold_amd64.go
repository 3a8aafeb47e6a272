package announce

import (
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// clone starts a process that shares this one's memory, with a copy of its
// descriptors, sleeps on the stack that ends at top and ends.
//
//go:noescape
func clone(top *byte, sleep *unix.Timespec) (pid uintptr)

// The child uses both after hold has returned. It pushes nothing, so that several
// can do so at once.
var (
	holderStack [256]byte
	holderSleep = unix.NsecToTimespec(int64(5 * time.Millisecond))
)

// hold has a child hold this process's descriptors for some milliseconds, so that
// the last close of each happens in the child (net/packet/af_packet.c,
// packet_release). To copy the memory of a Go program would take longer than
// all else that a monitor does.
func hold() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	// Signals are blocked in the child: a handler would run on this process's stacks.
	var all, before unix.Sigset_t
	for i := range all.Val {
		all.Val[i] = ^uint64(0)
	}
	if unix.PthreadSigmask(unix.SIG_SETMASK, &all, &before) != nil {
		return
	}
	_ = clone(&holderStack[len(holderStack)-16], &holderSleep)
	_ = unix.PthreadSigmask(unix.SIG_SETMASK, &before, nil) // the same call has just succeeded
}

//go:build !amd64

package announce

import (
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// hold has a child hold this process's descriptors for some milliseconds, so that
// the last close of each happens in the child (net/packet/af_packet.c,
// packet_release). The child runs no Go code but these calls.
func hold() {
	sleep := unix.NsecToTimespec(int64(5 * time.Millisecond))
	if child, _, errno := unix.RawSyscall6(unix.SYS_CLONE, 0, 0, 0, 0, 0, 0); child == 0 && errno == 0 {
		_, _, _ = unix.RawSyscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&sleep)), 0, 0)
		for {
			_, _, _ = unix.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
		}
	}
}

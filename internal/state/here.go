// Package state reads and writes the files of agents and daemons below /run. Each file counts for
// one boot and one network namespace. The package also has the locks of processes that change the
// kernel. It reads no file that another user can have written.
package state

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"lvs-agents/internal/process"
)

// Here identifies this boot and the network namespace of the calling thread.
type Here struct {
	Boot string // Boot is the boot id of the kernel.
	// Inode is the inode number of the network namespace. After the namespace ends, the kernel can
	// give the number to another namespace.
	Inode string
	// Cookie identifies the network namespace. The kernel gives it to no other namespace of this
	// boot. It is empty before Linux 5.14.
	Cookie string
	// Main says that this is the main network namespace. On a host, this is the first namespace. In
	// a container, it is the namespace of the container's first process.
	Main bool
}

// Now returns the boot and the network namespace of the calling thread.
func Now() (Here, error) {
	boot, err := process.Read("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return Here{}, fmt.Errorf("boot id: %w", err)
	}
	netns, err := os.Stat("/proc/thread-self/ns/net")
	if err != nil {
		return Here{}, fmt.Errorf("network namespace: %w", err)
	}
	inode := strconv.FormatUint(netns.Sys().(*syscall.Stat_t).Ino, 10)
	return Here{Boot: strings.TrimSpace(string(boot)), Inode: inode, Cookie: cookie(), Main: isMain()}, nil
}

// cookie returns the cookie of the network namespace, or an empty text if it cannot be read. Linux
// has it since 5.14. The kernel gives the cookie as an option of any new socket (net/core/sock.c,
// SO_NETNS_COOKIE).
func cookie() string {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return ""
	}
	defer func() { _ = unix.Close(fd) }()
	n, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE)
	if err != nil {
		return ""
	}
	return strconv.FormatUint(n, 10)
}

// Owner returns the boot id and the inode number of the network namespace. It does not contain the
// cookie, because the oldest versions of our programs did not write the cookie.
func (h Here) Owner() string { return h.Boot + " " + h.Inode }

// Wrote reports whether a file with this owner and cookie was written in this boot and network
// namespace. cookie is empty if the file has no cookie. If one of the two cookies is empty, Wrote
// compares only the owner.
func (h Here) Wrote(owner, cookie string) bool {
	return owner == h.Owner() && (cookie == "" || h.Cookie == "" || cookie == h.Cookie)
}

// name returns the name of the state directory of a network namespace that is not the main one. The
// name is short, because the path of a unix socket has at most 107 bytes.
func (h Here) name() string {
	word := h.Cookie
	if word == "" {
		word = h.Inode
	}
	n, _ := strconv.ParseUint(word, 10, 64)
	return "netns-" + strconv.FormatUint(n, 16)
}

// isMain reports whether the calling thread is in the first network namespace of the host, or in
// the namespace of process 1. Only the first namespace of the host has this sysctl
// (net/core/sysctl_net_core.c). A process with fewer capabilities than process 1 cannot read
// /proc/1/ns/net. The files in /proc/1/net have other inode numbers in every namespace.
func isMain() bool {
	if unix.Access("/proc/sys/net/core/netdev_max_backlog", unix.F_OK) == nil {
		return true
	}
	first, err := os.Stat("/proc/1/net/dev")
	if err != nil {
		return false
	}
	own, err := os.Stat("/proc/thread-self/net/dev")
	return err == nil && os.SameFile(first, own)
}

// SinceBoot returns the time of CLOCK_BOOTTIME, or 0 if it cannot be read. A change of the system
// time does not change it.
func SinceBoot() time.Duration {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &now); err != nil {
		return 0
	}
	return time.Duration(now.Nano())
}

// Package state reads and writes the files below /run, which count for one boot and one network
// namespace. It also has the locks of processes that change the kernel. It reads no file that
// another user can have written.
package state

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Here is this boot and the network namespace of the calling thread.
type Here struct {
	Boot  string // boot id
	Inode string // of the network namespace; a later namespace can have the same one
	// Cookie identifies the network namespace; no other namespace of this boot has it. It is
	// empty before Linux 5.14.
	Cookie string
	// Main says that this is the network namespace of the system: the first one, or
	// in a container the namespace of its first process.
	Main bool
}

// Now returns where the calling thread is.
func Now() (Here, error) {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return Here{}, fmt.Errorf("boot id: %w", err)
	}
	netns, err := os.Stat("/proc/thread-self/ns/net")
	if err != nil {
		return Here{}, fmt.Errorf("network namespace: %w", err)
	}
	inode := strconv.FormatUint(netns.Sys().(*syscall.Stat_t).Ino, 10)
	return Here{Boot: strings.TrimSpace(string(boot)), Inode: inode, Cookie: cookie(), Main: isMain(inode)}, nil
}

// cookie returns the cookie of the network namespace. A new socket has it (net/core/sock.c,
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

// Owner returns the boot id and the inode of the network namespace. The cookie is separate,
// because the oldest versions did not write it.
func (h Here) Owner() string { return h.Boot + " " + h.Inode }

// Wrote reports whether a file with this owner and cookie was written here. The cookie is empty
// if the file has none.
func (h Here) Wrote(owner, cookie string) bool {
	return owner == h.Owner() && (cookie == "" || h.Cookie == "" || cookie == h.Cookie)
}

// name returns the name of the directory of a namespace other than the main one. It is short,
// because the path of a unix socket has at most 107 bytes.
func (h Here) name() string {
	word := h.Cookie
	if word == "" {
		word = h.Inode
	}
	n, _ := strconv.ParseUint(word, 10, 64)
	return fmt.Sprintf("netns-%x", n)
}

// isMain reports whether the calling thread is in the network namespace of the system or of the
// first process. Only the namespace of the system has this sysctl (net/core/sysctl_net_core.c).
func isMain(inode string) bool {
	if unix.Access("/proc/sys/net/core/netdev_max_backlog", unix.F_OK) == nil {
		return true
	}
	first, err := os.Readlink("/proc/1/ns/net")
	return err == nil && first == "net:["+inode+"]"
}

// SinceBoot is CLOCK_BOOTTIME: the same for all processes, and no clock change
// moves it.
func SinceBoot() time.Duration {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &now); err != nil {
		return 0
	}
	return time.Duration(now.Nano())
}

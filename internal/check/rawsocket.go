package check

import (
	"encoding/binary"
	"net/netip"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The calls below never block, so they are made without telling Go's scheduler.
// Told of a call after a pause it wakes its monitor thread, which then looks
// every 20 µs whether the call takes long: that cost more than the checks.

// failed is nil for success: an Errno of 0 in an error is not.
func failed(errno syscall.Errno) error {
	if errno != 0 {
		return errno
	}
	return nil
}

func socket(ipv6 bool) (int, error) {
	family := unix.AF_INET
	if ipv6 {
		family = unix.AF_INET6
	}
	fd, _, errno := unix.RawSyscall(unix.SYS_SOCKET, uintptr(family), unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
	return int(fd), failed(errno)
}

// linger makes close send a reset.
func linger(fd int) error {
	option := unix.Linger{Onoff: 1}
	_, _, errno := unix.RawSyscall6(unix.SYS_SETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_LINGER,
		uintptr(unsafe.Pointer(&option)), unsafe.Sizeof(option), 0)
	return failed(errno)
}

// lateport leaves the choice of a port to connect, which may take one for each
// destination again; bind takes one for all (ip(7), IP_BIND_ADDRESS_NO_PORT, for
// both families). Without it they run out, as a closed connection keeps its port for a minute.
func lateport(fd int) {
	on := int32(1)
	_, _, _ = unix.RawSyscall6(unix.SYS_SETSOCKOPT, uintptr(fd), unix.SOL_IP, unix.IP_BIND_ADDRESS_NO_PORT,
		uintptr(unsafe.Pointer(&on)), unsafe.Sizeof(on), 0) // it saves, no more
}

func shut(fd int) {
	_, _, _ = unix.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0) // sends a reset; there is nothing to lose
}

// watch asks epoll for events.
func watch(epoll, fd int, number int32, events uint32) error {
	event := unix.EpollEvent{Events: events, Fd: number}
	_, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_CTL, uintptr(epoll), unix.EPOLL_CTL_ADD, uintptr(fd), uintptr(unsafe.Pointer(&event)), 0, 0)
	return failed(errno)
}

// ready returns the events that there are already.
func ready(epoll int, events []unix.EpollEvent) (int, error) {
	// epoll_pwait: arm64 has no epoll_wait.
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(epoll), uintptr(unsafe.Pointer(unsafe.SliceData(events))), uintptr(len(events)), 0, 0, 0)
	return int(n), failed(errno)
}

// move reads or writes.
func move(number uintptr, fd int, p []byte) (int, error) {
	n, _, errno := unix.RawSyscall(number, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// withAddr makes a call that takes a socket address, bind or connect.
func withAddr(number uintptr, fd int, addr netip.AddrPort) error {
	port := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, addr.Port()))
	if addr.Addr().Is4() {
		raw := unix.RawSockaddrInet4{Family: unix.AF_INET, Port: port, Addr: addr.Addr().As4()}
		_, _, errno := unix.RawSyscall(number, uintptr(fd), uintptr(unsafe.Pointer(&raw)), unsafe.Sizeof(raw))
		return failed(errno)
	}
	raw := unix.RawSockaddrInet6{Family: unix.AF_INET6, Port: port, Addr: addr.Addr().As16()}
	_, _, errno := unix.RawSyscall(number, uintptr(fd), uintptr(unsafe.Pointer(&raw)), unsafe.Sizeof(raw))
	return failed(errno)
}

// look sets what has happened to each socket so far, without waiting.
func look(sockets []unix.PollFd) {
	if len(sockets) == 0 {
		return
	}
	now := unix.Timespec{}
	// ppoll: arm64 has no poll. An error leaves them as if nothing had happened.
	_, _, _ = unix.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(unsafe.SliceData(sockets))), uintptr(len(sockets)), uintptr(unsafe.Pointer(&now)), 0, 0, 0)
}

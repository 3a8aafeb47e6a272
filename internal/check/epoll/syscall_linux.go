package epoll

import (
	"encoding/binary"
	"net"
	"net/netip"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// None of the calls below blocks, so they are made without telling Go's scheduler. A call that the
// scheduler knows of after a pause wakes its monitor thread, which then polls every 20 µs.

// failed is nil for success: an error that holds an Errno of 0 is not nil.
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

// linger has close send a reset.
func linger(fd int) error {
	option := unix.Linger{Onoff: 1}
	_, _, errno := unix.RawSyscall6(unix.SYS_SETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_LINGER,
		uintptr(unsafe.Pointer(&option)), unsafe.Sizeof(option), 0)
	return failed(errno)
}

// latePort leaves the choice of a port to connect, which can take one port for many destinations;
// bind reserves one for all of them (ip(7), IP_BIND_ADDRESS_NO_PORT, for both families). A closed
// connection keeps its port for a minute, so bind would run out of ports.
func latePort(fd int) {
	on := int32(1)
	_, _, _ = unix.RawSyscall6(unix.SYS_SETSOCKOPT, uintptr(fd), unix.SOL_IP, unix.IP_BIND_ADDRESS_NO_PORT,
		uintptr(unsafe.Pointer(&on)), unsafe.Sizeof(on), 0) // a connection can be opened without it
}

// shut closes a socket. No data is lost.
func shut(fd int) { _, _, _ = unix.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0) }

// watch adds a socket to the epoll instance, with a number for its events.
func watch(epoll, fd int, number int32, events uint32) error {
	event := unix.EpollEvent{Events: events, Fd: number}
	_, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_CTL, uintptr(epoll), unix.EPOLL_CTL_ADD, uintptr(fd), uintptr(unsafe.Pointer(&event)), 0, 0)
	return failed(errno)
}

// ready returns the events that have happened, without waiting.
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
	raw := unix.RawSockaddrInet6{Family: unix.AF_INET6, Port: port, Addr: addr.Addr().As16(), Scope_id: scope(addr.Addr().Zone())}
	_, _, errno := unix.RawSyscall(number, uintptr(fd), uintptr(unsafe.Pointer(&raw)), unsafe.Sizeof(raw))
	return failed(errno)
}

// scope is the number of an interface, which a link-local address needs; 0 for none or an unknown
// one.
func scope(zone string) uint32 {
	if zone == "" {
		return 0
	}
	if n, err := strconv.ParseUint(zone, 10, 32); err == nil {
		return uint32(n)
	}
	nic, err := net.InterfaceByName(zone)
	if err != nil {
		return 0 // connect fails with EINVAL
	}
	return uint32(nic.Index)
}

// poll sets what has happened to each socket so far, without waiting.
func poll(sockets []unix.PollFd) {
	now := unix.Timespec{}
	// ppoll: arm64 has no poll. An error leaves the sockets as if nothing had happened.
	_, _, _ = unix.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(unsafe.SliceData(sockets))), uintptr(len(sockets)), uintptr(unsafe.Pointer(&now)), 0, 0, 0)
}

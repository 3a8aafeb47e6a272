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

// None of the calls below blocks, so this package makes them without notice to Go's scheduler.
// After a pause, a call with notice to the scheduler wakes the monitor thread of the scheduler.
// That thread then polls every 20 µs.

// failed returns the error for errno, and nil if errno is 0. The conversion is necessary because an
// error that holds an Errno of 0 is not nil.
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

// linger makes the kernel send a reset when the socket is closed.
func linger(fd int) error {
	option := unix.Linger{Onoff: 1}
	_, _, errno := unix.RawSyscall6(unix.SYS_SETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_LINGER,
		uintptr(unsafe.Pointer(&option)), unsafe.Sizeof(option), 0)
	return failed(errno)
}

// latePort makes connect choose the port instead of bind (ip(7), IP_BIND_ADDRESS_NO_PORT, for both
// families). connect can use one port for many destinations, but bind reserves one port for all
// destinations. A closed connection keeps its port for a minute, so bind would run out of ports.
func latePort(fd int) {
	on := int32(1)
	_, _, _ = unix.RawSyscall6(unix.SYS_SETSOCKOPT, uintptr(fd), unix.SOL_IP, unix.IP_BIND_ADDRESS_NO_PORT,
		uintptr(unsafe.Pointer(&on)), unsafe.Sizeof(on), 0) // An error is ignored, because it does not prevent the connection.
}

// shut closes a socket. No data is lost.
func shut(fd int) { _, _, _ = unix.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0) }

// watch adds a socket to the epoll instance. The events of the socket carry the number.
func watch(epoll, fd int, number int32, events uint32) error {
	event := unix.EpollEvent{Events: events, Fd: number}
	_, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_CTL, uintptr(epoll), unix.EPOLL_CTL_ADD, uintptr(fd), uintptr(unsafe.Pointer(&event)), 0, 0)
	return failed(errno)
}

// ready returns the events that have already happened. It does not wait.
func ready(epoll int, events []unix.EpollEvent) (int, error) {
	// The call is epoll_pwait, because arm64 does not have epoll_wait.
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(epoll), uintptr(unsafe.Pointer(unsafe.SliceData(events))), uintptr(len(events)), 0, 0, 0)
	return int(n), failed(errno)
}

// move makes the system call number, read or write, and returns the number of bytes that were read
// or written.
func move(number uintptr, fd int, p []byte) (int, error) {
	n, _, errno := unix.RawSyscall(number, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// withAddr makes the system call number, bind or connect, with a socket address.
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

// scope returns the index of the interface that zone names, which a link-local address needs. It
// returns 0 if zone is empty or the interface is unknown.
func scope(zone string) uint32 {
	if zone == "" {
		return 0
	}
	if n, err := strconv.ParseUint(zone, 10, 32); err == nil {
		return uint32(n)
	}
	nic, err := net.InterfaceByName(zone)
	if err != nil {
		return 0 // For a link-local address with index 0, connect fails with EINVAL.
	}
	return uint32(nic.Index)
}

// poll writes the events that have already happened to each socket into the element of the socket.
// It does not wait.
func poll(sockets []unix.PollFd) {
	now := unix.Timespec{}
	// The call is ppoll, because arm64 does not have poll. After an error, no socket has events.
	_, _, _ = unix.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(unsafe.SliceData(sockets))), uintptr(len(sockets)), uintptr(unsafe.Pointer(&now)), 0, 0, 0)
}

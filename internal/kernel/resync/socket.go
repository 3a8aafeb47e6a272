package resync

import (
	"cmp"
	"fmt"
	"math"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"lvs-agents/internal/host"
	"lvs-agents/internal/lvs"
	"lvs-agents/internal/state"
)

// group is the multicast group of a synchronisation daemon.
type group struct {
	daemon  lvs.SyncDaemon
	fd      int
	to      unix.Sockaddr
	limit   int // limit is the length of the longest datagram in bytes.
	sent    int
	checked time.Duration // checked is when the daemon was last seen, as a time since boot.
}

// Bytes of the headers of IP and UDP.
const (
	headers4 = 20 + 8
	headers6 = 40 + 8
)

// dial opens a socket with the multicast options that the kernel gives the socket of the daemon
// (ip_vs_sync.c, make_send_sock).
func dial(d lvs.SyncDaemon) (*group, error) {
	nic, err := net.InterfaceByName(d.Interface)
	if err != nil {
		return nil, host.NotInstalled("interface %s of the master synchronisation daemon is gone; create it, then restart the daemon", d.Interface)
	}
	g := &group{daemon: d, checked: state.SinceBoot()}
	open, headers := g.open4, headers4
	if d.Group.Is6() {
		open, headers = g.open6, headers6
	}
	g.limit = min(int(cmp.Or(d.MaxLen, math.MaxUint16)), nic.MTU-headers)
	if err := open(nic.Index); err != nil {
		return nil, fmt.Errorf("socket for the group of %s: %w", d, err)
	}
	return g, nil
}

func (g *group) open4(nic int) (err error) {
	g.to = &unix.SockaddrInet4{Addr: g.daemon.Group.As4(), Port: int(g.daemon.Port)}
	if g.fd, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err != nil {
		return err
	}
	return g.closed(cmp.Or(
		unix.SetsockoptIPMreqn(g.fd, unix.IPPROTO_IP, unix.IP_MULTICAST_IF, &unix.IPMreqn{Ifindex: int32(nic)}),
		unix.SetsockoptInt(g.fd, unix.IPPROTO_IP, unix.IP_MULTICAST_TTL, int(g.daemon.TTL)),
		// The backup daemon of this host must not receive the datagrams.
		unix.SetsockoptInt(g.fd, unix.IPPROTO_IP, unix.IP_MULTICAST_LOOP, 0),
	))
}

func (g *group) open6(nic int) (err error) {
	g.to = &unix.SockaddrInet6{Addr: g.daemon.Group.As16(), Port: int(g.daemon.Port), ZoneId: uint32(nic)}
	if g.fd, err = unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err != nil {
		return err
	}
	return g.closed(cmp.Or(
		unix.SetsockoptInt(g.fd, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_IF, nic),
		unix.SetsockoptInt(g.fd, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_HOPS, int(g.daemon.TTL)),
		unix.SetsockoptInt(g.fd, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_LOOP, 0),
	))
}

// closed closes the socket if err is an error, and returns err.
func (g *group) closed(err error) error {
	if err != nil {
		g.close()
	}
	return os.NewSyscallError("setsockopt", err)
}

func (g *group) send(datagram []byte) error {
	if err := unix.Sendto(g.fd, datagram, 0, g.to); err != nil {
		return fmt.Errorf("datagram to %s port %d on %s: %w", g.daemon.Group, g.daemon.Port, g.daemon.Interface, err)
	}
	return nil
}

func (g *group) close() { _ = unix.Close(g.fd) }

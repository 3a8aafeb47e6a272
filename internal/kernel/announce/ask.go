package announce

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// probes is how many ARP probes are sent (PROBE_NUM of RFC 5227 section 1.1).
const probes = 3

// Owner asks everybody on the link of nic for an IPv4 address, without claiming
// it (RFC 5227 section 2.1.1), and returns the link-layer address of a host that
// has it, or wants it at the same time; nil when nobody answers within wait. It
// returns as soon as somebody does.
func Owner(ctx context.Context, nic string, ip netip.Addr, wait time.Duration) (net.HardwareAddr, error) {
	link, err := ethernet(ctx, nic)
	if err != nil || link == nil || !ip.Is4() {
		return nil, err
	}
	owner, err := probe(ctx, link, ip, wait/probes)
	if err != nil {
		return nil, fmt.Errorf("arping -D %s on %s: %w", ip, nic, err)
	}
	return owner, nil
}

func probe(ctx context.Context, link *netlink.LinkAttrs, ip netip.Addr, pause time.Duration) (owner net.HardwareAddr, err error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	defer func() { _ = unix.Close(fd) }()
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: arpProtocol(), Ifindex: link.Index}); err != nil {
		return nil, os.NewSyscallError("bind", err)
	}
	packet := form(link, arpRequest, netip.IPv4Unspecified(), make([]byte, 6), ip)
	for range probes {
		if err := send(fd, packet, lladdr(link, broadcast)); err != nil {
			return nil, err
		}
		err := receive(ctx, fd, pause, func(packet []byte) bool {
			owner = claimant(packet, link.HardwareAddr, ip)
			return owner != nil
		})
		if err != nil || owner != nil {
			return owner, err
		}
	}
	return nil, ctx.Err()
}

// claimant returns the sender of an ARP packet that shows that another host has
// ip, or probes for it too.
func claimant(packet []byte, own net.HardwareAddr, ip netip.Addr) net.HardwareAddr {
	if len(packet) < 28 || !bytes.Equal(packet[:6], []byte{0, 1, 0x08, 0x00, 6, 4}) {
		return nil
	}
	sha, spa, tpa := net.HardwareAddr(packet[8:14]), packet[14:18], packet[24:28]
	has := bytes.Equal(spa, ip.AsSlice())
	wants := packet[7] == arpRequest && bytes.Equal(spa, make([]byte, 4)) && bytes.Equal(tpa, ip.AsSlice())
	if !has && !wants || bytes.Equal(sha, own) {
		return nil
	}
	return bytes.Clone(sha)
}

// receive reads packets until wanted holds for one or pause is over; both are no
// error.
func receive(ctx context.Context, fd int, pause time.Duration, wanted func([]byte) bool) error {
	ctx, cancel := context.WithTimeout(ctx, pause)
	defer cancel()
	deadline, _ := ctx.Deadline()
	buffer := make([]byte, 2048)
	for ctx.Err() == nil {
		left := max(time.Until(deadline), 0)
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		if _, err := unix.Poll(fds, int((left+time.Millisecond-1)/time.Millisecond)); err != nil && !errors.Is(err, unix.EINTR) {
			return os.NewSyscallError("poll", err)
		}
		n, _, err := unix.Recvfrom(fd, buffer, unix.MSG_DONTWAIT)
		switch {
		case errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR):
		case err != nil:
			return os.NewSyscallError("recvfrom", err)
		case wanted(buffer[:n]):
			return nil
		}
	}
	return nil
}

// Answers sends an echo request from ip and tells whether the neighbour's answer
// comes back to this host within wait: the neighbour sends to the link-layer
// address that it knows for ip. False says nothing about a neighbour that answers
// nobody.
func Answers(ctx context.Context, nic string, ip, neighbour netip.Addr, wait time.Duration) (bool, error) {
	link, err := ethernet(ctx, nic)
	if err != nil || link == nil {
		return false, err
	}
	answered, err := echo(ctx, link, ip, neighbour, wait)
	if err != nil {
		return false, fmt.Errorf("ping -I %s %s: %w", ip, neighbour, err)
	}
	return answered, nil
}

func echo(ctx context.Context, link *netlink.LinkAttrs, ip, neighbour netip.Addr, wait time.Duration) (answered bool, err error) {
	open, request, reply := openICMP, byte(8), byte(0)
	if ip.Is6() {
		open, request, reply = openEcho6, 128, 129
	}
	fd, err := open(link, ip)
	if err != nil {
		return false, err
	}
	defer func() { _ = unix.Close(fd) }()
	id := binary.BigEndian.AppendUint16(nil, uint16(os.Getpid()))
	packet := append([]byte{request, 0, 0, 0}, id...)
	packet = append(packet, 0, 1)
	if ip.Is4() {
		binary.BigEndian.PutUint16(packet[2:], checksum(packet))
	}
	err = send(fd, packet, socketAddress(link, neighbour))
	switch {
	case errors.Is(err, unix.EHOSTUNREACH) || errors.Is(err, unix.ENETUNREACH): // it did not answer ARP before
		return false, nil
	case err != nil:
		return false, err
	}
	err = receive(ctx, fd, wait, func(packet []byte) bool {
		if ip.Is4() { // raw IPv4 sockets see the header
			if len(packet) < 20 || !bytes.Equal(packet[12:16], neighbour.AsSlice()) {
				return false
			}
			packet = packet[min(int(packet[0]&15)*4, len(packet)):]
		}
		answered = len(packet) >= 8 && packet[0] == reply && bytes.Equal(packet[4:6], id)
		return answered
	})
	if errors.Is(err, unix.EHOSTUNREACH) {
		err = nil
	}
	return answered, err
}

// checksum is the Internet checksum of an even number of bytes (RFC 1071).
func checksum(packet []byte) uint16 {
	sum := uint32(0)
	for i := 0; i+1 < len(packet); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(packet[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

func openICMP(link *netlink.LinkAttrs, ip netip.Addr) (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_ICMP)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	err = cmp.Or(
		os.NewSyscallError("setsockopt SO_BINDTODEVICE", unix.BindToDevice(fd, link.Name)),
		os.NewSyscallError("bind", unix.Bind(fd, socketAddress(link, ip))),
	)
	if err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func openEcho6(link *netlink.LinkAttrs, ip netip.Addr) (int, error) {
	fd, err := openICMPv6(link, ip)
	if err != nil {
		return -1, err
	}
	const echoReply = 129
	err = cmp.Or(
		filterICMPv6(fd, echoReply),
		os.NewSyscallError("setsockopt SO_BINDTODEVICE", unix.BindToDevice(fd, link.Name)),
	)
	if err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// Tell announces ip to one neighbour alone: for those that ignore what is sent to
// everybody. The kernel has to know the neighbour's link-layer address, as it
// does after Answers; without it nothing is sent, which is no error.
func Tell(ctx context.Context, nic string, ip, neighbour netip.Addr) error {
	link, err := ethernet(ctx, nic)
	if err != nil || link == nil {
		return err
	}
	if err := tell(link, ip, neighbour); err != nil {
		return fmt.Errorf("announce %s to %s on %s: %w", ip, neighbour, nic, err)
	}
	return nil
}

func tell(link *netlink.LinkAttrs, ip, neighbour netip.Addr) error {
	to, open := socketAddress(link, neighbour), openICMPv6
	packets := [][]byte{advertisement(link, ip)}
	if ip.Is4() {
		mac, err := knownAs(link, neighbour)
		if err != nil || mac == nil {
			return err
		}
		to, open = lladdr(link, mac), openARP
		packets = [][]byte{form(link, arpRequest, ip, make([]byte, 6), neighbour), form(link, arpReply, ip, mac, neighbour)}
	}
	fd, err := open(link, ip)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	for _, packet := range packets {
		err = cmp.Or(err, send(fd, packet, to))
	}
	return err
}

// knownAs returns the link-layer address that the kernel knows for an IPv4
// neighbour, nil for none.
func knownAs(link *netlink.LinkAttrs, neighbour netip.Addr) (net.HardwareAddr, error) {
	list, err := netlink.NeighList(link.Index, netlink.FAMILY_V4)
	for _, entry := range list {
		if ip, _ := netip.AddrFromSlice(entry.IP.To4()); ip == neighbour && len(entry.HardwareAddr) == 6 && entry.State&(unix.NUD_FAILED|unix.NUD_INCOMPLETE) == 0 {
			return entry.HardwareAddr, nil
		}
	}
	return nil, err
}

package announce

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"lvs-agents/internal/kernel/link"
	"lvs-agents/internal/kernel/packet"
)

// probes is how many ARP probes are sent (PROBE_NUM of RFC 5227 section 1.1).
const probes = 3

// Owner asks everybody on the link of nic for an IPv4 address, without claiming
// it (RFC 5227 section 2.1.1), and returns the link-layer address of a host that
// has it, or wants it at the same time; nil when nobody answers within wait. It
// returns as soon as somebody does. This host's own interfaces do not count: one in the
// same LAN answers for an address that is on lo.
func Owner(ctx context.Context, nic string, ip netip.Addr, wait time.Duration) (net.HardwareAddr, error) {
	attrs, err := ethernet(ctx, nic)
	if err != nil || attrs == nil || !ip.Is4() {
		return nil, err
	}
	own, err := link.HardwareAddresses(ctx)
	if err != nil {
		return nil, err
	}
	owner, err := probe(ctx, attrs, own, ip, wait/probes)
	if err != nil {
		return nil, fmt.Errorf("arping -D %s on %s: %w", ip, nic, err)
	}
	return owner, nil
}

func probe(ctx context.Context, link *netlink.LinkAttrs, own []net.HardwareAddr, ip netip.Addr, pause time.Duration) (owner net.HardwareAddr, err error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	defer func() { _ = unix.Close(fd) }()
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: arpProtocol(), Ifindex: link.Index}); err != nil {
		return nil, os.NewSyscallError("bind", err)
	}
	query := packet.ARP{Operation: packet.ARPRequest, SenderMAC: link.HardwareAddr, Target: ip}.Encode()
	for range probes {
		if err := send(fd, query, lladdr(link, packet.Broadcast)); err != nil {
			return nil, err
		}
		err := receive(ctx, fd, pause, func(received []byte) bool {
			owner = claimant(received, own, ip)
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
func claimant(received []byte, own []net.HardwareAddr, ip netip.Addr) net.HardwareAddr {
	arp, ok := packet.DecodeARP(received)
	if !ok || slices.ContainsFunc(own, func(mac net.HardwareAddr) bool { return bytes.Equal(arp.SenderMAC, mac) }) {
		return nil
	}
	has := arp.Sender == ip
	wants := arp.Operation == packet.ARPRequest && arp.Sender == netip.IPv4Unspecified() && arp.Target == ip
	if !has && !wants {
		return nil
	}
	return arp.SenderMAC
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
	open := openICMP
	if ip.Is6() {
		open = openEcho6
	}
	fd, err := open(link, ip)
	if err != nil {
		return false, err
	}
	defer func() { _ = unix.Close(fd) }()
	query := packet.Echo{ID: uint16(os.Getpid()), Sequence: 1}
	err = send(fd, query.EncodeRequest(ip.Is6()), socketAddress(link, neighbour))
	switch {
	case errors.Is(err, unix.EHOSTUNREACH) || errors.Is(err, unix.ENETUNREACH): // it did not answer ARP before
		return false, nil
	case err != nil:
		return false, err
	}
	err = receive(ctx, fd, wait, func(received []byte) bool {
		if ip.Is4() { // raw IPv4 sockets receive the header
			from, payload, ok := packet.IPv4(received)
			if !ok || from != neighbour {
				return false
			}
			received = payload
		}
		reply, ok := packet.DecodeReply(received, ip.Is6())
		answered = ok && reply.ID == query.ID
		return answered
	})
	if errors.Is(err, unix.EHOSTUNREACH) {
		err = nil
	}
	return answered, err
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
	err = cmp.Or(
		filterICMPv6(fd, packet.EchoReply6),
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
	packets := [][]byte{packet.Advertisement(ip, link.HardwareAddr)}
	if ip.Is4() {
		mac, err := knownAs(link, neighbour)
		if err != nil || mac == nil {
			return err
		}
		to, open = lladdr(link, mac), openARP
		packets = [][]byte{
			packet.ARP{Operation: packet.ARPRequest, SenderMAC: link.HardwareAddr, Sender: ip, Target: neighbour}.Encode(),
			packet.ARP{Operation: packet.ARPReply, SenderMAC: link.HardwareAddr, Sender: ip, TargetMAC: mac, Target: neighbour}.Encode(),
		}
	}
	fd, err := open(link, ip)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	for _, p := range packets {
		err = cmp.Or(err, send(fd, p, to))
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

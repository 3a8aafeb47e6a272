package announce

import (
	"bytes"
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

// probes is how many ARP probes Owner sends at most (PROBE_NUM of RFC 5227 section 1.1).
const probes = 3

// Owner queries every host on the link of nic for an IPv4 address, without claiming the address
// (RFC 5227 section 2.1.1). It returns the link-layer address of the first host that has the
// address or probes for it at the same time. If no host replies within wait, Owner returns an empty
// text. It does the same for an IPv6 address. Owner ignores packets from this host's interfaces,
// because another interface in the same LAN replies for an address that is on lo.
func (Neighbours) Owner(ctx context.Context, nic string, ip netip.Addr, wait time.Duration) (string, error) {
	attrs, err := ethernet(ctx, nic)
	if err != nil || attrs == nil || !ip.Is4() {
		return "", err
	}
	nics, err := link.Interfaces(ctx)
	if err != nil {
		return "", err
	}
	var own []net.HardwareAddr
	for _, nic := range nics {
		own = append(own, nic.HardwareAddr)
	}
	owner, err := probe(ctx, attrs, own, ip, wait/probes)
	if err != nil {
		return "", fmt.Errorf("arping -D %s on %s: %w", ip, nic, err)
	}
	return owner.String(), nil
}

func probe(ctx context.Context, link *netlink.LinkAttrs, own []net.HardwareAddr, ip netip.Addr, pause time.Duration) (owner net.HardwareAddr, err error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	defer func() { _ = unix.Close(fd) }()
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: packet.NetworkOrder(unix.ETH_P_ARP), Ifindex: link.Index}); err != nil {
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

// claimant returns the sender of an ARP packet if the packet shows that another host has ip or
// probes for it.
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

// receive reads packets until wanted returns true for a packet, or until pause has passed. In both
// cases it returns nil.
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

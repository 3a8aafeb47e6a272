package announce

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"lvs-agents/internal/kernel/packet"
)

// Answers sends an echo request from ip and reports whether the neighbour's reply arrives at this
// host within wait. The neighbour replies to the link-layer address that it has learnt for ip.
// False proves nothing if the neighbour never replies to echo requests.
func (Neighbours) Answers(ctx context.Context, nic string, ip, neighbour netip.Addr, wait time.Duration) (bool, error) {
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
	case errors.Is(err, unix.EHOSTUNREACH) || errors.Is(err, unix.ENETUNREACH): // The neighbour did not reply to the kernel's ARP request or neighbour solicitation.
		return false, nil
	case err != nil:
		return false, err
	}
	err = receive(ctx, fd, wait, func(received []byte) bool {
		if ip.Is4() { // a raw IPv4 socket receives packets with their IPv4 header
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

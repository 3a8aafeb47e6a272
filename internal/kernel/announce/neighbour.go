package announce

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	knetlink "lvs-agents/internal/kernel/netlink"
	"lvs-agents/internal/kernel/packet"
)

// AnnounceTo announces ip to one neighbour. Some neighbours ignore broadcast and multicast packets.
// For IPv4, AnnounceTo reads the link-layer address of the neighbour from the kernel's neighbour
// table, which Answers fills. If the table has no entry, AnnounceTo sends nothing and returns nil.
func (Neighbours) AnnounceTo(ctx context.Context, nic string, ip, neighbour netip.Addr) error {
	link, err := ethernet(ctx, nic)
	if err != nil || link == nil {
		return err
	}
	if err := sendTo(ctx, link, ip, neighbour); err != nil {
		return fmt.Errorf("announce %s to %s on %s: %w", ip, neighbour, nic, err)
	}
	return nil
}

func sendTo(ctx context.Context, link *netlink.LinkAttrs, ip, neighbour netip.Addr) error {
	to, open := socketAddress(link, neighbour), openICMPv6
	packets := [][]byte{packet.Advertisement(ip, link.HardwareAddr)}
	if ip.Is4() {
		mac, err := knownAs(ctx, link, neighbour)
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

// knownAs returns the link-layer address of an IPv4 neighbour from the kernel's neighbour table, or
// nil if the table has no usable entry.
func knownAs(ctx context.Context, link *netlink.LinkAttrs, neighbour netip.Addr) (mac net.HardwareAddr, err error) {
	err = knetlink.With(ctx, func(h *netlink.Handle) error {
		return knetlink.Whole(ctx, func() error {
			list, err := h.NeighList(link.Index, netlink.FAMILY_V4)
			for _, entry := range list {
				if ip, _ := netip.AddrFromSlice(entry.IP.To4()); ip == neighbour && len(entry.HardwareAddr) == 6 && entry.State&(unix.NUD_FAILED|unix.NUD_INCOMPLETE) == 0 {
					mac = entry.HardwareAddr
				}
			}
			return err
		})
	})
	return mac, err
}

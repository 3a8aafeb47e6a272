package announce

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"lvs-agents/internal/kernel/packet"
)

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

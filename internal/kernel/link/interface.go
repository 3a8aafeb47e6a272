package link

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"lvs-agents/internal/host"
	knetlink "lvs-agents/internal/kernel/netlink"
)

// Hardware returns the attributes of an interface. It returns a host.ErrNotInstalled if no
// interface has the name. The name can be an alternative name (ip link property), or eth0@if7, as
// ip prints eth0. The attributes have the kernel's name of the interface.
func Hardware(ctx context.Context, nic string) (netlink.LinkAttrs, error) {
	var found hardware
	err := reading(func(r *reader) (err error) {
		found, err = r.known(ctx, nic)
		return err
	})
	return found.LinkAttrs, err
}

// known returns an interface by its name. It accepts the same names and returns the same errors as
// Hardware.
func (r *reader) known(ctx context.Context, nic string) (hardware, error) {
	found, err := r.anyName(ctx, nic)
	if name, _, printed := strings.Cut(nic, "@"); printed && absent(err) {
		found, err = r.anyName(ctx, name)
	}
	if absent(err) {
		return found, host.NotInstalled("network interface %q does not exist; create it or give one that ip link shows", nic)
	}
	return found, err
}

func (r *reader) anyName(ctx context.Context, nic string) (hardware, error) {
	if nic == "" {
		return hardware{}, unix.ENODEV
	}
	return r.named(ctx, nic)
}

// absent reports whether an error means that an interface does not exist. The kernel returns ERANGE
// or EINVAL for a name that is too long.
func absent(err error) bool {
	return errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ERANGE) || errors.Is(err, unix.EINVAL)
}

// device converts an interface to the type that vishvananda/netlink takes.
func device(link netlink.LinkAttrs) netlink.Link { return &netlink.Device{LinkAttrs: link} }

// hardware holds the attributes of an interface that this package uses.
type hardware struct {
	netlink.LinkAttrs
	ethernet bool
	// kind is the kind of the interface, for example dummy. It is empty for a physical interface.
	kind string
	port string // port is the kind of the master. It is empty if the interface has no master.
}

// link returns an interface by its index, or the error ENODEV if it does not exist.
func (r *reader) link(ctx context.Context, index int) (hardware, error) {
	return r.links(ctx, (&nl.IfInfomsg{IfInfomsg: unix.IfInfomsg{Index: int32(index)}}).Serialize())
}

// named returns an interface by its name or an alternative name.
func (r *reader) named(ctx context.Context, nic string) (hardware, error) {
	kind := unix.IFLA_IFNAME
	if len(nic) >= unix.IFNAMSIZ { // a name of this length can only be an alternative name
		kind = unix.IFLA_ALT_IFNAME
	}
	return r.links(ctx, knetlink.AppendAttribute(nl.NewIfInfomsg(unix.AF_UNSPEC).Serialize(), kind, nl.ZeroTerminated(nic)))
}

func (r *reader) links(ctx context.Context, body []byte) (found hardware, err error) {
	err = r.Query(ctx, knetlink.Request{Type: unix.RTM_GETLINK, Body: body}, func(body []byte) { found = parseLink(body) })
	return found, err
}

// parseLink reads a struct ifinfomsg and its attributes. The index is zero if the message does not
// describe an interface.
func parseLink(body []byte) (h hardware) {
	if len(body) < unix.SizeofIfInfomsg {
		return h
	}
	a, err := knetlink.Parse(body[unix.SizeofIfInfomsg:])
	info, err2 := knetlink.Parse(a[unix.IFLA_LINKINFO])
	if cmp.Or(err, err2) != nil {
		return h
	}
	header := nl.DeserializeIfInfomsg(body)
	h.Index, h.RawFlags, h.ethernet = int(header.Index), header.Flags, header.Type == unix.ARPHRD_ETHER
	h.MTU = int(a.Uint32(unix.IFLA_MTU))
	h.Name, h.MasterIndex = a.Text(unix.IFLA_IFNAME), int(a.Uint32(unix.IFLA_MASTER))
	h.HardwareAddr = bytes.Clone(a[unix.IFLA_ADDRESS])
	h.kind, h.port = info.Text(unix.IFLA_INFO_KIND), info.Text(unix.IFLA_INFO_SLAVE_KIND)
	return h
}

// all returns all interfaces.
func (r *reader) all(ctx context.Context) (list []hardware, err error) {
	request := knetlink.Request{Type: unix.RTM_GETLINK, Body: nl.NewIfInfomsg(unix.AF_UNSPEC).Serialize()}
	err = r.Dump(ctx, request, func() { list = nil }, func(body []byte) {
		if link := parseLink(body); link.Index != 0 {
			list = append(list, link)
		}
	})
	return list, err
}

// state returns the state of an interface. NoCarrier means that the interface is up and its driver
// does not report LOWER_UP.
func (r *reader) state(ctx context.Context, link *hardware) host.Interface {
	up := link.RawFlags&unix.IFF_UP != 0
	return host.Interface{
		Name:      link.Name,
		Silent:    link.RawFlags&(unix.IFF_LOOPBACK|unix.IFF_NOARP) != 0,
		Down:      !up,
		NoCarrier: up && link.RawFlags&unix.IFF_LOWER_UP == 0,
		ARPOff:    link.ethernet && link.RawFlags&unix.IFF_NOARP != 0 && !slices.Contains(withoutARP, link.kind),
		Master:    r.master(ctx, link),
	}
}

// withoutARP are the kinds of Ethernet interfaces that can work without ARP. If an interface of
// another kind has no ARP, the agents report a fault.
var withoutARP = []string{"dummy", "ipvlan", "ipvtap", "netkit", "vrf", "ifb", "nlmon"}

// master returns the kind and name of the interface that takes the packets of a port, for example
// of a bridge or bond. It returns an empty text for a port of a VRF, because the port itself
// receives the packets.
func (r *reader) master(ctx context.Context, link *hardware) string {
	if link.MasterIndex == 0 || link.port == "vrf" {
		return ""
	}
	master, err := r.link(ctx, link.MasterIndex)
	if err != nil { // the master was removed, or is in another network namespace
		return ""
	}
	return cmp.Or(master.kind, link.port, "interface") + " " + master.Name
}

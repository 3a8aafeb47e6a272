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

// Hardware returns an interface by its name, or an host.ErrNotInstalled if there is
// none. The name may be an alternative one (ip link property), and eth0@if7 is eth0 as
// ip prints it; the attributes have the name that the kernel uses.
func Hardware(ctx context.Context, nic string) (netlink.LinkAttrs, error) {
	var found hardware
	err := reading(func(r *reader) (err error) {
		found, err = r.known(ctx, nic)
		return err
	})
	return found.LinkAttrs, err
}

// known is named, with the errors and the names of Hardware.
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

// absent reports whether an error says that an interface does not exist. The kernel
// gives the latter two for names that are too long.
func absent(err error) bool {
	return errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ERANGE) || errors.Is(err, unix.EINVAL)
}

// device is an interface as netlink takes it.
func device(link netlink.LinkAttrs) netlink.Link { return &netlink.Device{LinkAttrs: link} }

// hardware is what is needed of an interface.
type hardware struct {
	netlink.LinkAttrs
	ethernet bool
	kind     string // empty for hardware
	port     string // the kind of what the interface is a port of
}

// link returns an interface by its index; the error ENODEV says that there is none.
func (r *reader) link(ctx context.Context, index int) (hardware, error) {
	return r.links(ctx, (&nl.IfInfomsg{IfInfomsg: unix.IfInfomsg{Index: int32(index)}}).Serialize())
}

// named returns an interface by its name, also by an alternative one.
func (r *reader) named(ctx context.Context, nic string) (hardware, error) {
	kind := unix.IFLA_IFNAME
	if len(nic) >= unix.IFNAMSIZ { // only an alternative one can be
		kind = unix.IFLA_ALT_IFNAME
	}
	return r.links(ctx, knetlink.AppendAttribute(nl.NewIfInfomsg(unix.AF_UNSPEC).Serialize(), kind, nl.ZeroTerminated(nic)))
}

func (r *reader) links(ctx context.Context, body []byte) (found hardware, err error) {
	err = r.Query(ctx, knetlink.Request{Type: unix.RTM_GETLINK, Body: body}, func(body []byte) { found = parseLink(body) })
	return found, err
}

// parseLink reads what is needed of a struct ifinfomsg and its attributes. The index is zero
// for what is not an interface.
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
	h.Name, h.MasterIndex = a.Text(unix.IFLA_IFNAME), int(a.Uint32(unix.IFLA_MASTER))
	h.HardwareAddr = bytes.Clone(a[unix.IFLA_ADDRESS])
	h.kind, h.port = info.Text(unix.IFLA_INFO_KIND), info.Text(unix.IFLA_INFO_SLAVE_KIND)
	return h
}

// all lists the interfaces.
func (r *reader) all(ctx context.Context) (list []hardware, err error) {
	request := knetlink.Request{Type: unix.RTM_GETLINK, Body: nl.NewIfInfomsg(unix.AF_UNSPEC).Serialize()}
	err = r.Dump(ctx, request, func() { list = nil }, func(body []byte) {
		if link := parseLink(body); link.Index != 0 {
			list = append(list, link)
		}
	})
	return list, err
}

// state takes an interface without a carrier for one that is up and whose driver
// does not say LOWER_UP.
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

// withoutARP are the kinds of Ethernet interfaces that can do without ARP, so that
// its absence is no mistake.
var withoutARP = []string{"dummy", "ipvlan", "ipvtap", "netkit", "vrf", "ifb", "nlmon"}

// master is what takes the packets of an interface that is a port: a bridge or bond
// for example. A VRF leaves them to the interface.
func (r *reader) master(ctx context.Context, link *hardware) string {
	if link.MasterIndex == 0 || link.port == "vrf" {
		return ""
	}
	master, err := r.link(ctx, link.MasterIndex)
	if err != nil { // it went away, or it is not for us to see
		return ""
	}
	return cmp.Or(master.kind, link.port, "interface") + " " + master.Name
}

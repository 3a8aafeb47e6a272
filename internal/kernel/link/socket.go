package link

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"lvs-agents/internal/host"
)

// socket is a route netlink socket. Every use of its Handle follows an arm.
type socket struct {
	*netlink.Handle

	promote promotion
}

// arm limits what is done next on the socket to the time that ctx has left.
func (s *socket) arm(ctx context.Context) error {
	left, err := left(ctx)
	if err != nil {
		return err
	}
	return s.SetSocketTimeout(left)
}

// translate is the one place that knows what rtnetlink's error numbers mean.
// netlink reports a missed deadline as EAGAIN.
func translate(err error) error {
	var errno syscall.Errno
	switch {
	case !errors.As(err, &errno):
		return err
	case errno == unix.EAGAIN:
		return context.DeadlineExceeded
	case errno == unix.EEXIST:
		return fs.ErrExist
	case errno == unix.EADDRNOTAVAIL:
		return fs.ErrNotExist
	case errno == unix.EPERM:
		return fs.ErrPermission
	}
	return err
}

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

// addresses lists the addresses of a family on one interface.
func addresses(ctx context.Context, index, family int) (list []netlink.Addr, err error) {
	err = reading(func(r *reader) (err error) {
		list, err = r.addresses(ctx, family, index, func(netlink.Addr) bool { return true })
		return err
	})
	return list, err
}

func family(ip netip.Addr) int {
	if ip.Is6() {
		return netlink.FAMILY_V6
	}
	return netlink.FAMILY_V4
}

// find returns every occurrence of ip.
func find(ctx context.Context, ip netip.Addr) (found []host.Address, err error) {
	ip = ip.WithZone("").Unmap()
	err = reading(func(r *reader) (err error) {
		found, err = r.find(ctx, ip)
		return err
	})
	slices.SortStableFunc(found, func(a, b host.Address) int {
		return cmp.Or(strings.Compare(a.NIC, b.NIC), cmp.Compare(a.Prefix.Bits(), b.Prefix.Bits()))
	})
	return found, err
}

func (r *reader) find(ctx context.Context, ip netip.Addr) ([]host.Address, error) {
	list, err := r.everywhere(ctx, family(ip), func(addr netlink.Addr) bool { return prefix(addr).Addr() == ip })
	if err != nil {
		return nil, err
	}
	var found []host.Address
	for _, addr := range list {
		link, err := r.link(ctx, addr.LinkIndex)
		if errors.Is(err, unix.ENODEV) {
			continue // it went away after the dump, with its addresses
		}
		if err != nil {
			return nil, err
		}
		found = append(found, r.address(ctx, addr, &link))
	}
	return found, nil
}

// findOn returns the occurrences of ip on one interface, and its name.
func findOn(ctx context.Context, nic string, ip netip.Addr) (name string, found []host.Address, err error) {
	ip = ip.WithZone("").Unmap()
	err = reading(func(r *reader) error {
		link, err := r.known(ctx, nic)
		if err != nil {
			return err
		}
		name = link.Name
		list, err := r.addresses(ctx, family(ip), link.Index, func(addr netlink.Addr) bool { return prefix(addr).Addr() == ip })
		for _, addr := range list {
			found = append(found, r.address(ctx, addr, &link))
		}
		return err
	})
	slices.SortStableFunc(found, func(a, b host.Address) int { return cmp.Compare(a.Prefix.Bits(), b.Prefix.Bits()) })
	return name, found, err
}

// prefix is the address itself with its prefix length, that of the peer where
// there is one.
func prefix(addr netlink.Addr) netip.Prefix {
	if addr.IPNet == nil {
		return netip.Prefix{}
	}
	ip, _ := netip.AddrFromSlice(addr.IP)
	bits, _ := addr.Mask.Size()
	if addr.Peer != nil {
		bits, _ = addr.Peer.Mask.Size()
	}
	return netip.PrefixFrom(ip.Unmap(), bits)
}

// address reads the flags and not the lifetimes: the preferred lifetime of a
// deprecated IPv4 address is reported as for ever.
func (r *reader) address(ctx context.Context, addr netlink.Addr, link *hardware) host.Address {
	a := host.Address{
		Prefix:     prefix(addr),
		NIC:        link.Name,
		Deprecated: addr.Flags&unix.IFA_F_DEPRECATED != 0,
		Scope:      scope(addr),

		NoPrefixRoute: addr.Flags&unix.IFA_F_NOPREFIXROUTE != 0,
		Observed: host.Observed{
			Tentative: addr.Flags&unix.IFA_F_TENTATIVE != 0,
			Duplicate: addr.Flags&unix.IFA_F_DADFAILED != 0,
			Interface: r.state(ctx, link),
		},
	}
	// Elsewhere it does not matter any more once the address is there.
	a.NoDAD = a.Observed.Silent && addr.Flags&unix.IFA_F_NODAD != 0
	if addr.Label != link.Name { // the kernel's own label
		a.Label = addr.Label
	}
	if broadcast, ok := netip.AddrFromSlice(addr.Broadcast); ok {
		a.Broadcast = broadcast.Unmap()
	}
	a.Observed.Diverted = r.diverted(ctx, a, link)
	return a
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

// scopes are the names that iproute2 has without a file of names.
var scopes = map[int]string{unix.RT_SCOPE_UNIVERSE: "global", unix.RT_SCOPE_SITE: "site", unix.RT_SCOPE_LINK: "link", unix.RT_SCOPE_HOST: "host"}

// scope is empty for what the kernel and iproute2 choose by themselves.
func scope(addr netlink.Addr) string {
	ip := prefix(addr).Addr()
	name, known := scopes[addr.Scope]
	switch {
	case ip.Is6() || addr.Scope == usualScope(ip):
		return ""
	case !known:
		return strconv.Itoa(addr.Scope)
	}
	return name
}

func usualScope(ip netip.Addr) int {
	if ip.Is4() && ip.IsLoopback() { // as iproute2: never used to talk to others
		return unix.RT_SCOPE_HOST
	}
	return unix.RT_SCOPE_UNIVERSE
}

var errDuplicate = fmt.Errorf("%w (duplicate address detection failed)", host.ErrDuplicate)

// settle looks once after it has subscribed, then at every change. When the
// subscription breaks (the kernel drops one that is too slow) it starts again.
func settle(ctx context.Context, a host.Address) error {
	for {
		updates := make(chan netlink.AddrUpdate)
		done := make(chan struct{})
		if err := netlink.AddrSubscribe(updates, done); err != nil {
			return fmt.Errorf("subscribe to address changes: %w", err)
		}
		settled, err := follow(ctx, a, updates)
		close(done)
		for range updates { // until its goroutine has ended
		}
		if settled || err != nil {
			return err
		}
	}
}

func follow(ctx context.Context, a host.Address, updates <-chan netlink.AddrUpdate) (settled bool, err error) {
	for {
		if settled, err := look(ctx, a); settled || err != nil {
			return settled, err
		}
		for mine := false; !mine; {
			select {
			case <-ctx.Done():
				return false, fmt.Errorf("duplicate address detection is not over: %w", ctx.Err())
			case update, ok := <-updates:
				if !ok {
					return false, nil
				}
				ip, _ := netip.AddrFromSlice(update.LinkAddress.IP)
				mine = ip.Unmap() == a.Prefix.Addr()
			}
		}
	}
}

func look(ctx context.Context, a host.Address) (settled bool, err error) {
	_, found, err := findOn(ctx, a.NIC, a.Prefix.Addr())
	if err != nil && !errors.Is(err, host.ErrNotInstalled) {
		return false, err
	}
	for _, f := range found {
		switch {
		case f.Prefix != a.Prefix:
		case f.Observed.Duplicate:
			return false, errDuplicate
		case f.Observed.Tentative && f.Observed.NoCarrier:
			return false, host.ErrNoCarrier
		default:
			return !f.Observed.Tentative, nil
		}
	}
	return false, fmt.Errorf("the address is gone: %w", fs.ErrNotExist)
}

package link

import (
	"context"
	"encoding/binary"
	"errors"
	"io/fs"
	"math"
	"net/netip"
	"os"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"lvs-agents/internal/host"
)

// change sets the lifetimes of an address that is there, with the flags that it
// has: flags that a change does not name are taken away.
func (s *socket) change(ctx context.Context, a host.Address) error {
	link, err := Hardware(ctx, a.NIC)
	if err != nil {
		return err
	}
	list, err := addresses(ctx, link.Index, family(a.Prefix.Addr()))
	if err != nil {
		return err
	}
	for _, found := range list {
		if prefix(found) != a.Prefix {
			continue
		}
		changed := encode(a)
		changed.Flags = found.Flags & (unix.IFA_F_NOPREFIXROUTE | unix.IFA_F_HOMEADDRESS | unix.IFA_F_MANAGETEMPADDR | unix.IFA_F_NODAD)
		changed.ValidLft = math.MaxUint32
		if !a.Deprecated && a.Preferred == 0 {
			changed.PreferedLft = math.MaxUint32
		}
		if err := s.arm(ctx); err != nil {
			return err
		}
		return s.AddrReplace(device(link), changed)
	}
	return fs.ErrNotExist
}

func (s *socket) raise(ctx context.Context, nic string) error {
	link, err := Hardware(ctx, nic)
	if err != nil {
		return err
	}
	if err := s.arm(ctx); err != nil {
		return err
	}
	return s.LinkSetUp(device(link))
}

// addrLabelMessage is struct ifaddrlblmsg: family, reserved, prefix length, and
// then flags, interface and sequence number, which are all zero.
type addrLabelMessage [12]byte

// Len is part of nl.NetlinkRequestData.
func (m addrLabelMessage) Len() int { return len(m) }

// Serialize is part of nl.NetlinkRequestData.
func (m addrLabelMessage) Serialize() []byte { return m[:] }

// policy adds or deletes an entry of the IPv6 address label table, which the
// netlink library does not know (include/uapi/linux/if_addrlabel.h).
func (s *socket) policy(ctx context.Context, op host.AddressOp) error {
	const (
		addrLabelAddress = 1
		addrLabelLabel   = 2
	)
	if err := ctx.Err(); err != nil {
		return err
	}
	kind, flags := unix.RTM_NEWADDRLABEL, unix.NLM_F_ACK|unix.NLM_F_CREATE|unix.NLM_F_EXCL
	if op.Verb == host.DeletePolicy {
		kind, flags = unix.RTM_DELADDRLABEL, unix.NLM_F_ACK
	}
	request := nl.NewNetlinkRequest(kind, flags)
	request.AddData(addrLabelMessage{unix.AF_INET6, 0, 128})
	request.AddData(nl.NewRtAttr(addrLabelAddress, op.Address.Prefix.Addr().AsSlice()))
	request.AddData(nl.NewRtAttr(addrLabelLabel, binary.NativeEndian.AppendUint32(nil, op.Policy)))
	_, err := request.Execute(unix.NETLINK_ROUTE, 0)
	if errors.Is(err, unix.ESRCH) {
		return fs.ErrNotExist
	}
	return err
}

// flushRoutes does what ip route flush cache does.
func flushRoutes(ip netip.Addr) error {
	name := "ipv4"
	if ip.Is6() {
		name = "ipv6"
	}
	return os.WriteFile("/proc/sys/net/"+name+"/route/flush", []byte("-1\n"), 0)
}

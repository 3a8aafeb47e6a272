package link

import (
	"context"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"lvs-agents/internal/host"
	knetlink "lvs-agents/internal/kernel/netlink"
)

// policy adds or deletes an entry of the IPv6 address label table
// (include/uapi/linux/if_addrlabel.h). vishvananda/netlink does not support this table.
func policy(ctx context.Context, op host.AddressOp) error {
	const (
		addrLabelAddress = 1
		addrLabelLabel   = 2
	)
	request := knetlink.Request{Type: unix.RTM_NEWADDRLABEL, Flags: unix.NLM_F_CREATE | unix.NLM_F_EXCL}
	if op.Verb == host.DeletePolicy {
		request = knetlink.Request{Type: unix.RTM_DELADDRLABEL}
	}
	// struct ifaddrlblmsg has the family, a reserved byte and the prefix length. The flags, the
	// interface and the sequence number follow and are zero.
	request.Body = append([]byte{unix.AF_INET6, 0, 128}, make([]byte, 9)...)
	request.Body = knetlink.AppendAttribute(request.Body, addrLabelAddress, op.Address.Prefix.Addr().AsSlice())
	request.Body = knetlink.AppendAttribute(request.Body, addrLabelLabel, nl.Uint32Attr(op.Policy))
	return reading(func(r *reader) error {
		_, err := r.Execute(ctx, request)
		return err
	})
}

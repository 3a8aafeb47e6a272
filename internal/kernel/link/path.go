package link

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	knetlink "lvs-agents/internal/kernel/netlink"
)

// PathFault returns why this host cannot send packets to an address: it has no route, the interface
// of the route is down or has no carrier, or the gateway does not reply. PathFault returns an empty
// text if it finds no fault, and for a route with several next hops.
func PathFault(ctx context.Context, ip netip.Addr) (fault string, err error) {
	err = reading(func(r *reader) error {
		fault, err = r.pathFault(ctx, ip)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("ip route get %s: %w", ip, knetlink.Translate(err))
	}
	return fault, nil
}

func (r *reader) pathFault(ctx context.Context, ip netip.Addr) (fault string, err error) {
	to, err := r.lookup(ctx, ip, 0)
	switch {
	case refused(err):
		return "no route to " + ip.String(), nil
	case err != nil || to.kind == unix.RTN_LOCAL || to.index == 0:
		return "", err
	}
	out, err := r.link(ctx, to.index)
	if err != nil {
		return "", err
	}
	switch state := r.state(ctx, &out); {
	case state.Down:
		return out.Name + " is down", nil
	case state.NoCarrier:
		return out.Name + " has no carrier", nil
	case len(to.hops) != 1:
		return "", nil
	}
	gateway := to.hops[0].gateway
	if dead, err := r.dead(ctx, to.index, gateway); err != nil || !dead {
		return "", err
	}
	return fmt.Sprintf("gateway %s on %s does not reply", gateway, out.Name), nil
}

// dead reports whether the kernel has queried a neighbour in vain. A neighbour that the kernel does
// not know, or an old kernel without this query, counts as alive.
func (r *reader) dead(ctx context.Context, index int, ip netip.Addr) (dead bool, err error) {
	// struct ndmsg: family, two pads, the index, state, flags, type
	body := []byte{uint8(family(ip)), 0, 0, 0}
	body = binary.NativeEndian.AppendUint32(body, uint32(index))
	body = knetlink.AppendAttribute(append(body, 0, 0, 0, 0), unix.NDA_DST, ip.AsSlice())
	const state = 8 // state is the offset of the state in struct ndmsg.
	err = r.Query(ctx, knetlink.Request{Type: unix.RTM_GETNEIGH, Body: body}, func(body []byte) {
		dead = len(body) >= unix.SizeofNdMsg && binary.NativeEndian.Uint16(body[state:])&unix.NUD_FAILED != 0
	})
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EINVAL) {
		return false, nil
	}
	return dead, err
}

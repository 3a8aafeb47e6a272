package setting

import (
	"context"
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"lvs-agents/internal/host"
	knetlink "lvs-agents/internal/kernel/netlink"
)

// tunnels are the fallback devices of the kernel's tunnel modules. A fallback device receives every
// tunnelled packet that no other device takes. The module creates its fallback device, and no
// program can remove the device.
var tunnels = map[string]struct {
	link   netlink.Link
	module string
}{
	"tunl0":   {&netlink.Iptun{LinkAttrs: netlink.LinkAttrs{Name: "tunl0"}}, "ipip"},
	"ip6tnl0": {&netlink.Ip6tnl{LinkAttrs: netlink.LinkAttrs{Name: "ip6tnl0"}}, "ip6_tunnel"},
}

// Prepare returns nil if the interface exists and has no neighbours that could query its addresses.
// For tunl0 and ip6tnl0, Prepare makes the kernel load the tunnel module. The module stays loaded.
func (k Kernel) Prepare(ctx context.Context, nic string) error {
	state, err := k.Interface(ctx, nic)
	tunnel, known := tunnels[nic]
	switch {
	case err == nil && !state.Silent:
		return fmt.Errorf("interface %s: hosts on its network would get ARP replies for the address; use lo, a tunnel or a dummy interface", nic)
	case !errors.Is(err, host.ErrNotInstalled) || !known:
		return err
	}
	// This request makes the kernel load the module. The module creates the device before the
	// kernel handles the request (net/core/rtnetlink.c, __rtnl_newlink), so the result can be EEXIST.
	err = knetlink.With(ctx, func(h *netlink.Handle) error { return h.LinkAdd(tunnel.link) })
	if err != nil && !errors.Is(err, unix.EEXIST) {
		return host.NotInstalled("interface %s does not exist (%v); modprobe %s", nic, err, tunnel.module)
	}
	return nil
}

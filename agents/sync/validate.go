package sync

import (
	"context"
	"fmt"
	"math"
	"math/bits"

	"lvs-agents/ocf"
)

// Validate checks that the parameters fit together. With a check level of 10 or more, it also
// checks that this host has IPVS and the interface.
func (a *Agent) Validate(ctx context.Context, _ ocf.Call, level int) error {
	if err := a.consistent(); err != nil || level < 10 {
		return err
	}
	return a.usable(ctx)
}

func (a *Agent) consistent() error {
	wrong := func(format string, args ...any) error { return ocf.WrongEverywhere(fmt.Errorf(format, args...)) }
	switch {
	case !a.Group.IsMulticast():
		return wrong("parameter group=%q: not a multicast address; give 224.0.0.81 or ff05::81, for example", a.Group)
	case a.Period > 0 && a.Threshold >= a.Period:
		return wrong("parameter sync_threshold=%d: not smaller than sync_period=%d", a.Threshold, a.Period)
	case bits.OnesCount(uint(a.Ports)) != 1:
		return wrong("parameter sync_ports=%d: not a power of 2", a.Ports)
	case a.Port+a.Ports-1 > math.MaxUint16:
		return wrong("parameter port=%d: sync_ports=%d needs %[2]d ports from there", a.Port, a.Ports)
	}
	for _, peer := range a.Peers {
		if peer.Is4() != a.Group.Is4() || peer.IsMulticast() {
			return wrong("parameter peers: %s is not an address that can send to group %s", peer, a.Group)
		}
	}
	return nil
}

// usable returns an error if this host lacks IPVS or the interface, or if the interface is down.
func (a *Agent) usable(ctx context.Context) error {
	if _, err := a.kernel.SyncDaemons(ctx); err != nil {
		return err
	}
	nic, err := a.kernel.Interface(ctx, a.NIC)
	if err == nil && nic.Down {
		err = fmt.Errorf("interface %s is down; ip link set dev %[1]s up", a.NIC)
	}
	return err
}

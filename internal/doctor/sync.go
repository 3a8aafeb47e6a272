package doctor

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"lvs-agents/internal/host"
	"lvs-agents/internal/lvs"
)

// SyncHost is a director that receives connections of other directors.
type SyncHost interface {
	// Gateways returns the next hops of the default routes over an interface.
	Gateways(ctx context.Context, nic string, v6 bool) ([]netip.Addr, error)
	Network(context.Context, host.Search) (host.Network, error)
	// Servers returns the real servers of the IPVS table.
	Servers() []netip.Addr
	// HasTable reports whether nftables has a table of this name.
	HasTable(name string) bool
}

// ExamineSync returns a finding if other hosts than directors can send to a backup daemon: its
// interface also leads to real servers or to a gateway, and no packet filter is there.
func ExamineSync(ctx context.Context, h SyncHost, backup lvs.SyncDaemon, ports int) ([]Finding, error) {
	others, err := neighbours(ctx, h, backup.Interface)
	if err != nil || others == "" || h.HasTable(lvs.SyncTable) {
		return nil, err
	}
	return []Finding{{
		What: "other hosts can create and change connections of this director",
		Why:  fmt.Sprintf("the synchronisation daemons use %s, which also leads to %s, and their datagrams are not authenticated", backup.Interface, others),
		Fix:  "use an interface that only the directors share, or replace PEERS by the addresses of the other directors: " + lvs.SyncFilter(backup, ports, "PEERS"),
	}}, nil
}

// neighbours names a gateway or a real server on the network of an interface. If it finds none, it
// returns an empty text.
func neighbours(ctx context.Context, h SyncHost, nic string) (string, error) {
	for _, v6 := range []bool{false, true} {
		gateways, err := h.Gateways(ctx, nic, v6)
		if err != nil {
			return "", err
		}
		if len(gateways) > 0 {
			return "the gateway " + gateways[0].String(), nil
		}
	}
	for _, ip := range h.Servers() {
		network, err := h.Network(ctx, host.Search{IP: ip})
		switch {
		case errors.Is(err, host.ErrNoNetwork):
		case err != nil:
			return "", err
		case network.NIC == nic:
			return "the real server " + ip.String(), nil
		}
	}
	return "", nil
}

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
	// Unserved returns the virtual addresses of received connections that have no virtual service
	// here.
	Unserved() []netip.Addr
	// HasTable reports whether nftables has a table of this name.
	HasTable(name string) bool
}

// ExamineSync returns the faults of a director that receives connections. It examines whether they
// come from another cluster, and whether other hosts than directors can send to the backup daemon.
func ExamineSync(ctx context.Context, h SyncHost, backup lvs.SyncDaemon, ports int) ([]Finding, error) {
	var findings []Finding
	for _, ip := range h.Unserved() {
		findings = append(findings, Finding{
			What: fmt.Sprintf("connections of %s arrive, but this director has no virtual service with that address", ip),
			Why:  fmt.Sprintf("another cluster uses syncid %d on %s, or the directors have different configurations", backup.ID, backup.Interface),
			Fix:  "give each cluster its own syncid, and all directors of a cluster the same configuration",
		})
	}
	shared, err := examineLink(ctx, h, backup, ports)
	return append(findings, shared...), err
}

// examineLink returns a finding if the interface also leads to real servers or to a gateway, and no
// packet filter is there.
func examineLink(ctx context.Context, h SyncHost, backup lvs.SyncDaemon, ports int) ([]Finding, error) {
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

// neighbours returns a text that names a gateway or a real server on the network of an interface.
// The text is empty if that network has neither.
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

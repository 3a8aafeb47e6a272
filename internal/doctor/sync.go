package doctor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"

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

// ExamineSenders returns a finding for each host whose datagrams the backup daemon ignores, or that
// sends an older version.
func ExamineSenders(backup lvs.SyncDaemon, senders []lvs.SyncSender) []Finding {
	var findings []Finding
	for _, s := range senders {
		switch {
		case s.ID != backup.ID:
			findings = append(findings, Finding{
				What: fmt.Sprintf("this director ignores the connections that %s sends", s.Addr),
				Why:  fmt.Sprintf("the datagrams of %s have syncid %d, and this director has syncid %d", s.Addr, s.ID, backup.ID),
				Fix:  fmt.Sprintf("if %s is a director of this cluster, give its sync resource syncid=%d; otherwise give the other cluster another group", s.Addr, backup.ID),
			})
		case s.Version == 0:
			findings = append(findings, Finding{
				What: fmt.Sprintf("%s sends connections without IPv6, firewall marks and timeouts", s.Addr),
				Why:  "its datagrams have version 0: net.ipv4.vs.sync_version is 0 there, or its kernel is older than Linux 2.6.39",
				Fix:  fmt.Sprintf("on %s: sysctl -w net.ipv4.vs.sync_version=1, then restart its synchronisation daemons", s.Addr),
			})
		}
	}
	return findings
}

// ExamineCoverage returns a finding for each node that lacks connections of the other directors,
// and for each node that publishes a sample and no share. shares and samples have the node
// attributes that the sync resource publishes, by the names of the nodes.
func ExamineCoverage(id string, shares, samples map[string]string) []Finding {
	var findings []Finding
	for _, node := range slices.Sorted(maps.Keys(shares)) {
		if share, err := strconv.Atoi(shares[node]); err != nil || share < enough {
			findings = append(findings, Finding{
				What: fmt.Sprintf("a take-over by node %s breaks connections", node),
				Why:  fmt.Sprintf("it has %s %% of the connections of the other directors (node attribute lvs-sync-%s)", shares[node], id),
				Fix:  fmt.Sprintf("lvsctl resync on the director with the virtual address; if the value stays below %d, lvsctl doctor on %s", enough, node),
			})
		}
	}
	for _, node := range slices.Sorted(maps.Keys(samples)) {
		if shares[node] == "" {
			findings = append(findings, Finding{
				What: fmt.Sprintf("it is unknown whether node %s has the connections of the other directors", node),
				Why:  fmt.Sprintf("it does not publish the node attribute lvs-sync-%s: it cannot read the sample of a node with another version of lvs-agents", id),
				Fix:  "install the same version of lvs-agents on all nodes",
			})
		}
	}
	return findings
}

// enough is the smallest share of connections, in percent, that a director needs for a take-over.
const enough = 99

// examineLink returns a finding if the interface also leads to real servers or to a gateway, and
// the nftables table of lvs.SyncFilter does not exist.
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

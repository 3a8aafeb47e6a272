package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"lvs-agents/crm/cib"
	"lvs-agents/internal/doctor"
	"lvs-agents/internal/host"
)

// realAddresses returns the addresses that this host serves as a real server. It prints the others:
// the host is only a director for them, and must not have them on lo. held are the settings of the
// realserver resources.
func realAddresses(ctx context.Context, sys system, ips []netip.Addr, held []host.Setting) ([]netip.Addr, error) {
	var real []netip.Addr
	resources, unread := vipResources(ctx, sys)
	for _, ip := range ips {
		also, err := isRealServer(ctx, sys, ip, held)
		if err != nil {
			return nil, err
		}
		reason := ""
		switch {
		case also:
		case sys.director.Balances(ip):
			reason = "its IPVS table has a service with the address"
		case resources[ip] != "":
			reason = "the address belongs to resource " + inert(resources[ip]) + " of the cluster"
		case unread != nil:
			return nil, fmt.Errorf("it is unknown whether this host is a director for %s: %w; type the command again", ip, unread)
		}
		if reason == "" {
			real = append(real, ip)
			continue
		}
		fmt.Fprintf(sys.stderr, "lvsctl: this host is a director for %s: %s; doctor examines it as a director, and not as a real server\n", ip, reason)
	}
	return real, nil
}

// isRealServer reports whether a realserver resource has set the address up, or the address is on
// an interface without neighbours, for example lo.
func isRealServer(ctx context.Context, sys system, ip netip.Addr, held []host.Setting) (bool, error) {
	if slices.ContainsFunc(held, func(s host.Setting) bool { return s.Kind == host.HostAddress && s.IP == ip }) {
		return true, nil
	}
	places, err := sys.director.Addresses(ctx, ip)
	return slices.ContainsFunc(places, func(a host.Address) bool { return a.Observed.Silent }), err
}

// cibFile is where Pacemaker keeps the CIB of this node while it does not run.
const cibFile = "/var/lib/pacemaker/cib/cib.xml"

// vipResources returns the resources of the cluster that have a virtual address, by the address. On
// a host without a cluster, it returns none.
func vipResources(ctx context.Context, sys system) (map[netip.Addr]string, error) {
	limited, cancel := context.WithTimeout(ctx, programTime/2)
	defer cancel()
	text, err := sys.output(limited, "cibadmin", "--query")
	switch {
	case errors.Is(err, cib.ErrNotInstalled):
		return nil, nil
	case errors.Is(err, cib.ErrNotRunning):
		// A host that was never in a cluster has no such file.
		if text, err = sys.output(ctx, "cat", cibFile); err != nil {
			return nil, nil //nolint:nilerr // see above
		}
	case err != nil:
		return nil, fmt.Errorf("the configuration of the cluster was not read: %w", unread("cibadmin", err))
	}
	var facts doctor.Facts
	if err := facts.ReadCIB(text); err != nil {
		return nil, err
	}
	resources := map[netip.Addr]string{}
	for _, v := range facts.VIPs() {
		resources[v.IP] = v.Resource
	}
	return resources, nil
}

package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"lvs-agents/crm/cib"
	"lvs-agents/internal/control"
	"lvs-agents/internal/doctor"
)

// whereTime is how long the queries about the nodes of the health daemons can take.
const whereTime = time.Second

// errNoDaemon is the error of commands that need a health daemon.
var errNoDaemon = errors.New("no health daemon runs on this node")

// noDaemon returns an error that names the nodes where the health daemons run, and why they do not
// run on this node.
func noDaemon(ctx context.Context, sys system) error {
	_, err := elsewhere(ctx, sys)
	return err
}

// noOrder returns the error of noDaemon for a command that the operator can run on another node.
func noOrder(ctx context.Context, sys system) error {
	nodes, err := elsewhere(ctx, sys)
	if len(nodes) == 0 {
		return err
	}
	return fmt.Errorf("%w; run the command on %s", err, inert(strings.Join(nodes, " or ")))
}

// elsewhere returns the other nodes where health daemons run, and the error of noDaemon.
func elsewhere(ctx context.Context, sys system) (nodes []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, whereTime)
	defer cancel()
	out := outputs(ctx, sys, "crm_mon --one-shot --inactive --output-as=xml", "crm_node --name")
	mon, name := out["crm_mon"], out["crm_node"]
	err = errors.Join(mon.err, name.err)
	switch {
	case errors.Is(err, cib.ErrNotInstalled):
		return nil, errNoDaemon
	case errors.Is(err, cib.ErrNotRunning):
		return nil, fmt.Errorf("%w: %w", errNoDaemon, cib.ErrNotRunning)
	case isLate(err):
		return nil, fmt.Errorf("%w; the cluster manager did not reply within %s", errNoDaemon, whereTime)
	case err != nil:
		return nil, fmt.Errorf("%w; the cluster is unknown: %w", errNoDaemon, err)
	}
	facts := doctor.Facts{Node: strings.TrimSpace(name.text)}
	if err := facts.ReadMonitor(mon.text); err != nil {
		return nil, fmt.Errorf("%w; the cluster is unknown: %w", errNoDaemon, err)
	}
	if where := facts.Where(); len(where) > 0 {
		return facts.Elsewhere(), fmt.Errorf("%w: %s", errNoDaemon, inert(strings.Join(where, ", ")))
	}
	return nil, errNoDaemon
}

// mostHeld is how many virtual addresses of a daemon are printed. The rest is counted.
const mostHeld = 20

// heldAddresses returns the virtual addresses of the services of a daemon, each with the interfaces
// of this node that have it. It returns "" without a service at an address, and if the interfaces
// cannot be read.
func heldAddresses(sys system, s control.Snapshot) string {
	links, err := sys.node.Links()
	if err != nil {
		return ""
	}
	var texts []string
	seen := map[netip.Addr]bool{}
	for _, service := range s.Services {
		_, address, _ := strings.Cut(service.ID, " ")
		at, err := netip.ParseAddrPort(address)
		if err != nil || seen[at.Addr()] { // The address of a firewall mark is unknown.
			continue
		}
		seen[at.Addr()] = true
		place := "no interface of this node"
		if nics := holders(links, at.Addr()); len(nics) > 0 {
			place = strings.Join(nics, " and ")
		}
		texts = append(texts, at.Addr().String()+" on "+place)
	}
	if more := len(texts) - mostHeld; more > 0 {
		texts = append(texts[:mostHeld], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(texts, ", ")
}

// holders returns the names of the interfaces with an address.
func holders(links []doctor.Link, ip netip.Addr) (nics []string) {
	for _, l := range links {
		if slices.ContainsFunc(l.Networks, func(p netip.Prefix) bool { return p.Addr() == ip }) {
			nics = append(nics, l.Name)
		}
	}
	return nics
}

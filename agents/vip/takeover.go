package vip

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"lvs-agents/ocf"
)

// former queries the network for another host that has the address, before start adds the address.
// If another host replies, the policy decides what start does. It returns the link-layer address of
// a host that must get a separate copy of the announcements.
func (a *Agent) former(ctx context.Context, c ocf.Call, nic string) (string, error) {
	policy := a.Duplicate
	if policy == policyOff && a.RunArping {
		policy = policyFail
	}
	// For IPv6, the kernel's duplicate address detection finds the other host.
	if policy == policyOff || a.IP.Is6() {
		return "", nil
	}
	owner, err := a.neighbour.Owner(ctx, nic, a.IP, time.Duration(a.DuplicateWait)*time.Millisecond)
	switch {
	case err != nil:
		return "", err
	case owner == "":
		return "", nil
	case policy == policyFail:
		return "", fmt.Errorf("%s belongs to the host with link-layer address %s on %s already; stop it there", a.IP, owner, nic)
	}
	c.Log.Warnf("%s belongs to the host with link-layer address %s on %s already; continuing, because duplicate=%s", a.IP, owner, nic, policy)
	if policy == policyTake {
		return owner, nil
	}
	return "", nil
}

// replyTimeout is how long a neighbour can take to reply before this node announces the address to
// it again.
const replyTimeout = 200 * time.Millisecond

// confirm queries the neighbours of the parameter confirm until they send to this node, or until
// confirm_wait has passed. A neighbour that does not reply gets another announcement.
func (a *Agent) confirm(ctx context.Context, c ocf.Call, nic string) error {
	neighbours, err := a.chosen(ctx, c, nic)
	if err != nil || len(neighbours) == 0 {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(a.ConfirmWait)*time.Millisecond)
	defer cancel()
	round := time.NewTicker(replyTimeout)
	defer round.Stop()
	left := slices.Clone(neighbours)
	for ctx.Err() == nil {
		left = slices.DeleteFunc(left, func(ip netip.Addr) bool { return a.query(ctx, c, nic, ip) })
		if len(left) == 0 {
			break
		}
		select {
		case <-ctx.Done():
		case <-round.C:
		}
	}
	return a.conclude(context.WithoutCancel(ctx), c, nic, neighbours, left)
}

// chosen returns the neighbours that the parameter confirm selects.
func (a *Agent) chosen(ctx context.Context, c ocf.Call, nic string) ([]netip.Addr, error) {
	neighbours := slices.Clone(a.Confirm.addresses)
	if !a.Confirm.gateway {
		return neighbours, nil
	}
	gateways, err := a.kernel.Gateways(ctx, nic, a.IP.Is6())
	if len(gateways) == 0 && err == nil {
		c.Log.Warnf("confirm=gateway: no default route over %s has a next hop", nic)
	}
	for _, ip := range gateways {
		if !slices.Contains(neighbours, ip) {
			neighbours = append(neighbours, ip)
		}
	}
	return neighbours, err
}

// query sends an echo request to one neighbour and reports whether it replied. If the neighbour
// does not reply, query announces the address to it.
func (a *Agent) query(ctx context.Context, c ocf.Call, nic string, neighbour netip.Addr) bool {
	answered, err := a.neighbour.Answers(ctx, nic, a.IP, neighbour, replyTimeout)
	if err == nil && !answered {
		err = a.neighbour.AnnounceTo(ctx, nic, a.IP, neighbour)
	}
	if err != nil {
		c.Log.Debug(err)
	}
	return answered
}

// conclude logs which neighbours have replied, and writes this to a note. If a neighbour has not
// replied and confirm_policy is fail, it removes the address and returns an error.
func (a *Agent) conclude(ctx context.Context, c ocf.Call, nic string, all, missing []netip.Addr) error {
	var lines strings.Builder
	for _, ip := range all {
		verdict := "sends to this node"
		if slices.Contains(missing, ip) {
			verdict = fmt.Sprintf("did not reply within %dms", a.ConfirmWait)
		}
		fmt.Fprintf(&lines, "%s on %s: neighbour %s %s\n", a.IP, nic, ip, verdict)
	}
	for line := range strings.Lines(lines.String()) {
		c.Log.Info(strings.TrimSpace(line))
	}
	if err := a.notes(c).proof.Write(lines.String()); err != nil {
		c.Log.Warnf("writing the replies of the neighbours: %v", err)
	}
	if len(missing) == 0 {
		return nil
	}
	err := fmt.Errorf("neighbour %s does not reply to %s on %s; check the neighbour's ARP or neighbour table", missing[0], a.IP, nic)
	if a.ConfirmPolicy == policyWarn {
		c.Log.Warn(err)
		return nil
	}
	have, lookErr := a.ours(ctx)
	if lookErr != nil {
		return lookErr
	}
	if undo := a.remove(ctx, c, have); undo != nil {
		return undo
	}
	return err
}

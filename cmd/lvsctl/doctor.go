package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"lvs-agents/internal/doctor"
	"lvs-agents/internal/host"
	"lvs-agents/internal/ledger"
	"lvs-agents/internal/state"
)

// examine prints what is wrong with this host as a real server or a director.
func examine(ctx context.Context, sys system, words []string, tunnel bool) int {
	settings, err := realServer(sys, words, tunnel)
	if err != nil {
		return failed(sys, err)
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	findings, err := sys.doctor.Examine(ctx, settings)
	if err != nil {
		return failed(sys, err)
	}
	more, err := doctor.ExamineDirector(ctx, sys.director)
	if err != nil {
		return failed(sys, err)
	}
	findings = append(findings, more...)
	for _, f := range findings {
		fmt.Fprintf(sys.stdout, "%s\n    why: %s\n    fix: %s\n", f.What, f.Why, f.Fix)
	}
	if len(findings) > 0 {
		return exitFailed
	}
	fmt.Fprintln(sys.stdout, "fine")
	return exitOK
}

// realServer is what the host consists of: as its resources noted, or as the
// addresses on the command line want it.
func realServer(sys system, words []string, tunnel bool) ([]host.Setting, error) {
	ips := make([]netip.Addr, 0, len(words))
	for _, word := range words {
		ip, err := netip.ParseAddr(word)
		if err != nil || ip.Zone() != "" {
			return nil, fmt.Errorf("%q is not an IPv4 or IPv6 address", word)
		}
		ips = append(ips, ip.Unmap())
	}
	var settings []host.Setting
	store, err := ledger.In(sys.stateDir)
	if err != nil {
		return nil, err
	}
	l, err := store.Load()
	if err != nil && !errors.Is(err, state.ErrDamaged) {
		return nil, err
	}
	for _, e := range l.Entries {
		settings = append(settings, e.Setting)
	}
	if len(ips) > 0 {
		settings = doctor.ByHand(ips, tunnel)
	}
	if len(settings) == 0 && !sys.director.Directs() {
		return nil, errors.New("no realserver resource runs on this host, and it is not a director; start one, or give the virtual addresses")
	}
	return settings, nil
}

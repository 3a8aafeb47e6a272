package main

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"net/netip"
	"strings"
	"time"

	"lvs-agents/internal/disk"
	"lvs-agents/internal/health"
)

// maintain takes out the real servers that files in the maintenance directory
// name.
func (s *serving) maintain(ctx context.Context, d *health.Daemon) {
	ticker := time.NewTicker(second)
	defer ticker.Stop()
	var reader disk.Reader
	m := maintenance{hosts: map[netip.Addr]hostname{}}
	warned, out := false, map[netip.AddrPort]bool{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		cfg := s.file.Load()
		if cfg == nil || cfg.MaintenanceDir == "" && len(out) == 0 {
			continue
		}
		names := map[string]bool{}
		if cfg.MaintenanceDir != "" {
			entries, err := reader.Names(ctx, cfg.MaintenanceDir)
			if err != nil && !warned && ctx.Err() == nil {
				s.log.Warnf("maintenancedir: %v", err)
			}
			warned = err != nil
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				continue // what was taken out stays out
			}
			for _, name := range entries {
				names[strings.ToLower(name)] = true
			}
		}
		reals, err := d.RealServers(ctx)
		if err != nil {
			return
		}
		next := map[netip.AddrPort]bool{}
		for _, real := range reals {
			if len(names) > 0 && m.named(ctx, names, real) {
				next[real] = true
			}
		}
		if !maps.Equal(next, out) {
			if out = next; d.Maintain(ctx, maps.Clone(out)) != nil {
				return
			}
		}
	}
}

// maintenance knows the names of real servers for a while.
type maintenance struct {
	hosts map[netip.Addr]hostname
}

type hostname struct {
	full string
	till time.Time
}

// named tells whether a file is called after a real server.
func (m *maintenance) named(ctx context.Context, names map[string]bool, real netip.AddrPort) bool {
	port := real.String()[strings.LastIndexByte(real.String(), ':'):]
	calls := func(host string) bool { return host != "" && (names[host] || names[host+port]) }
	if calls(bare(real)) || calls(real.Addr().String()) {
		return true
	}
	for name := range names {
		if host, _, _ := strings.Cut(name, ":"); strings.Trim(host, "0123456789.") != "" && name[0] != '[' {
			full := m.host(ctx, real.Addr())
			short, _, _ := strings.Cut(full, ".")
			return calls(full) || calls(short)
		}
	}
	return false
}

// host is the name of an address, without a dot at its end; empty for none.
func (m *maintenance) host(ctx context.Context, addr netip.Addr) string {
	if known, ok := m.hosts[addr]; ok && time.Now().Before(known.till) {
		return known.full
	}
	limited, cancel := context.WithTimeout(ctx, 2*second)
	defer cancel()
	full := ""
	if found, err := resolver.LookupAddr(limited, addr.String()); err == nil && len(found) > 0 {
		full = strings.ToLower(strings.TrimSuffix(found[0], "."))
	}
	m.hosts[addr] = hostname{full, time.Now().Add(time.Minute)}
	return full
}

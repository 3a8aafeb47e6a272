package directord

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"net/netip"
	"strings"
	"time"

	"github.com/sirupsen/logrus"

	"lvs-agents/internal/config"
	"lvs-agents/internal/directord/compat"
	"lvs-agents/internal/disk"
	"lvs-agents/internal/health"
)

// maintenance drains the real servers that have a file with their name in the maintenance
// directory.
type maintenance struct {
	log      logrus.FieldLogger
	resolver Resolver
	files    disk.Reader
	// warned says that the last read of the directory failed and that the failure was logged.
	warned bool
	out    map[health.Member]bool // out has the real servers that are drained at the moment.
	hosts  map[netip.Addr]hostname
}

// hostname is the cached host name of an address.
type hostname struct {
	full string
	till time.Time
}

func newMaintenance(log logrus.FieldLogger, resolver Resolver) *maintenance {
	return &maintenance{log: log, resolver: resolver, out: map[health.Member]bool{}, hosts: map[netip.Addr]hostname{}}
}

// run reads the maintenance directory of the current configuration every second.
func (m *maintenance) run(ctx context.Context, current func() *config.Config, d *health.Daemon) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		cfg := current()
		if cfg == nil || cfg.MaintenanceDir == "" && len(m.out) == 0 {
			continue
		}
		names, err := m.names(ctx, cfg.MaintenanceDir)
		if err != nil {
			continue // If the directory cannot be read, the drained real servers stay drained.
		}
		if m.update(ctx, d, names) != nil {
			return
		}
	}
}

// names returns the file names of a directory in lower case. If the directory does not exist, it
// returns no names and no error.
func (m *maintenance) names(ctx context.Context, dir string) (map[string]bool, error) {
	names := map[string]bool{}
	if dir == "" {
		return names, nil
	}
	entries, err := m.files.Names(ctx, dir)
	if err != nil && !m.warned && ctx.Err() == nil {
		m.log.Warnf("maintenancedir: %v", err)
	}
	m.warned = err != nil
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, name := range entries {
		names[strings.ToLower(name)] = true
	}
	return names, nil
}

// update drains the real servers that have a file, and ends the drain of the other real servers. It
// returns an error if the daemon has ended.
func (m *maintenance) update(ctx context.Context, d *health.Daemon, names map[string]bool) error {
	members, err := d.Members(ctx)
	if err != nil {
		return err
	}
	out := map[health.Member]bool{}
	for _, member := range members {
		if len(names) > 0 && m.named(ctx, names, member.Server) {
			out[member] = true
		}
	}
	if maps.Equal(out, m.out) {
		return nil
	}
	m.out = out
	return d.Maintain(ctx, maps.Clone(out))
}

// named reports whether the name of a file is the address or the host name of a real server, with
// or without the port.
func (m *maintenance) named(ctx context.Context, names map[string]bool, real netip.AddrPort) bool {
	port := real.String()[strings.LastIndexByte(real.String(), ':'):]
	calls := func(host string) bool { return host != "" && (names[host] || names[host+port]) }
	if calls(compat.HostOf(real)) || calls(real.Addr().String()) {
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

// lookUpTimeout is how long the look-up of the host name of an address can take.
const lookUpTimeout = 2 * time.Second

// host returns the host name of an address, without a dot at its end. It returns an empty text if
// the address has no name.
func (m *maintenance) host(ctx context.Context, addr netip.Addr) string {
	if known, ok := m.hosts[addr]; ok && time.Now().Before(known.till) {
		return known.full
	}
	limited, cancel := context.WithTimeout(ctx, lookUpTimeout)
	defer cancel()
	full := ""
	if found, err := m.resolver.LookupAddr(limited, addr.String()); err == nil && len(found) > 0 {
		full = strings.ToLower(strings.TrimSuffix(found[0], "."))
	}
	m.hosts[addr] = hostname{full, time.Now().Add(time.Minute)}
	return full
}

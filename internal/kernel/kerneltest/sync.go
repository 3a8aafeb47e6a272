package kerneltest

import (
	"context"
	"fmt"
	"io/fs"
	"net/netip"
	"slices"

	"lvs-agents/internal/host"
	"lvs-agents/internal/lvs"
)

// SyncDaemons returns the synchronisation daemons that StartSync has started and StopSync has not
// stopped.
func (k *IPVS) SyncDaemons(ctx context.Context) ([]lvs.SyncDaemon, error) {
	if err := k.open(ctx); err != nil {
		return nil, fmt.Errorf("ipvsadm -L --daemon: %w", err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.daemons), nil
}

// StartSync starts a synchronisation daemon of the fake kernel. It returns fs.ErrExist if a daemon
// of this role runs.
func (k *IPVS) StartSync(ctx context.Context, d lvs.SyncDaemon) error {
	return k.changeDaemons(ctx, "ipvsadm --start-daemon "+d.String(), func() error {
		if slices.ContainsFunc(k.daemons, func(o lvs.SyncDaemon) bool { return o.Role == d.Role }) {
			return fs.ErrExist
		}
		if d.Interface == "none0" {
			return host.NotInstalled("there is no interface none0")
		}
		if d.MaxLen == 0 {
			d.MaxLen = 1472
		}
		if !d.Group.IsValid() {
			d.Group = lvs.SyncGroup
		}
		k.daemons = append(k.daemons, d)
		slices.SortFunc(k.daemons, func(a, b lvs.SyncDaemon) int { return int(a.Role) - int(b.Role) })
		return nil
	})
}

// StopSync stops the synchronisation daemon of a role, and returns nil if no such daemon runs.
func (k *IPVS) StopSync(ctx context.Context, role lvs.SyncRole) error {
	return k.changeDaemons(ctx, "ipvsadm --stop-daemon "+role.String(), func() error {
		k.daemons = slices.DeleteFunc(k.daemons, func(d lvs.SyncDaemon) bool { return d.Role == role })
		return nil
	})
}

func (k *IPVS) changeDaemons(ctx context.Context, command string, change func() error) error {
	err := k.open(ctx)
	k.mu.Lock()
	defer k.mu.Unlock()
	if err == nil {
		err = k.faults.next()
	}
	if err == nil {
		err = change()
	}
	if err != nil {
		return fmt.Errorf("%s: %w", command, err)
	}
	return nil
}

// Joined reports whether a backup daemon receives the datagrams of a multicast group on an
// interface. It returns false if Replaced is set.
func (k *IPVS) Joined(nic string, group netip.Addr) (bool, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return !k.Replaced && slices.ContainsFunc(k.daemons, func(d lvs.SyncDaemon) bool {
		return d.Role == lvs.SyncBackup && d.Interface == nic && d.Group == group
	}), nil
}

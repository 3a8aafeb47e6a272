package sync

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"lvs-agents/internal/host"
	"lvs-agents/internal/ledger"
	"lvs-agents/internal/lvs"
)

// want returns the sysctls and daemons of the resource. The daemons come last, because they read
// some of the sysctls when they start. The backup daemon comes before the master daemon.
func (a *Agent) want(context.Context) ([]ledger.Wanted, error) {
	want := []ledger.Wanted{
		// With 1, the kernel balances nothing while a backup daemon runs (sysctl_backup_only in
		// include/net/ip_vs.h).
		sysctl("backup_only", "0"),
		sysctl("sync_threshold", fmt.Sprintf("%d %d", a.Threshold, a.Period)),
		sysctl("sync_refresh_period", strconv.Itoa(a.RefreshPeriod)),
		sysctl("sync_retries", strconv.Itoa(a.Retries)),
		sysctl("sync_persist_mode", map[bool]string{false: "0", true: "1"}[a.PersistMode]),
		sysctl("sync_ports", strconv.Itoa(a.Ports)),
	}
	if a.SockSize >= 0 {
		want = append(want, sysctl("sync_sock_size", strconv.Itoa(a.SockSize)))
	}
	if a.QueueLimit >= 0 {
		want = append(want, sysctl("sync_qlen_max", strconv.Itoa(a.QueueLimit)))
	}
	for _, role := range []lvs.SyncRole{lvs.SyncBackup, lvs.SyncMaster} {
		d := a.daemon(role)
		want = append(want, ledger.Wanted{Setting: host.Setting{Kind: host.SyncDaemon, Name: role.String()}, Value: options(d)})
	}
	return want, nil
}

func sysctl(name, value string) ledger.Wanted {
	return ledger.Wanted{Setting: host.Setting{Kind: host.Sysctl, Name: "net/ipv4/vs/" + name}, Value: value}
}

func (a *Agent) daemon(role lvs.SyncRole) lvs.SyncDaemon {
	return lvs.SyncDaemon{Role: role, Interface: a.NIC, ID: uint8(a.ID), Group: a.Group,
		Port: uint16(a.Port), TTL: uint8(a.TTL), MaxLen: uint16(a.MaxLen)}
}

// settings are the sysctls and daemons of a kernel, for the ledger.
type settings struct{ kernel Kernel }

// options returns the value of a synchronisation daemon in the ledger: the options of the daemon in
// ipvsadm syntax, without its role.
func options(d lvs.SyncDaemon) string {
	_, options, _ := strings.Cut(d.String(), " ")
	return options
}

// Get returns the value of a setting. Without IPVS in the kernel, no daemon can run. The value of a
// daemon is then empty.
func (s settings) Get(ctx context.Context, setting host.Setting) (string, error) {
	if setting.Kind != host.SyncDaemon {
		return s.kernel.Get(ctx, setting)
	}
	daemons, err := s.kernel.SyncDaemons(ctx)
	if errors.Is(err, host.ErrNotInstalled) {
		return "", nil
	}
	for _, d := range daemons {
		if d.Role.String() == setting.Name {
			return options(d), err
		}
	}
	return host.Off, err
}

// Set gives a setting a value. A running daemon cannot change its options. So Set stops the daemon,
// and then starts the daemon with the new options.
func (s settings) Set(ctx context.Context, setting host.Setting, value string) error {
	if setting.Kind != host.SyncDaemon {
		return s.kernel.Set(ctx, setting, value)
	}
	role := lvs.SyncMaster
	if setting.Name == lvs.SyncBackup.String() {
		role = lvs.SyncBackup
	}
	have, err := s.Get(ctx, setting)
	if err == nil && have != host.Off {
		err = s.kernel.StopSync(ctx, role)
	}
	if err != nil || value == host.Off {
		return err
	}
	d, err := lvs.ParseSyncDaemon(setting.Name + " " + value)
	if err != nil {
		return err
	}
	return s.kernel.StartSync(ctx, d)
}

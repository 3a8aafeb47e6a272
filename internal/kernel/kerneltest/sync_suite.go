package kerneltest

import (
	"context"
	"errors"
	"io/fs"
	"net/netip"
	"testing"

	"lvs-agents/internal/host"
	"lvs-agents/internal/lvs"
)

// SyncKernel is the interface that RunSync tests.
type SyncKernel interface {
	SyncDaemons(context.Context) ([]lvs.SyncDaemon, error)
	StartSync(context.Context, lvs.SyncDaemon) error
	StopSync(context.Context, lvs.SyncRole) error
	Joined(nic string, group netip.Addr) (bool, error)
}

// RunSync tests that a kernel handles synchronisation daemons as Linux does. The host has eth0 with
// IPv4 and IPv6 addresses, no interface none0, and no daemon.
func RunSync(t *testing.T, k SyncKernel) {
	t.Helper()
	ctx := t.Context()
	for _, group := range []string{"224.0.0.82", "ff05::81"} {
		group := netip.MustParseAddr(group)
		master := lvs.SyncDaemon{Role: lvs.SyncMaster, Interface: "eth0", ID: 7, MaxLen: 1000, Group: group, Port: 9000, TTL: 3}
		backup := lvs.SyncDaemon{Role: lvs.SyncBackup, Interface: "eth0", ID: 7, Group: group}
		joined := func(want bool) {
			t.Helper()
			if got, err := k.Joined("eth0", group); got != want || err != nil {
				t.Errorf("%s joined: %v, %v", group, got, err)
			}
			if got, err := k.Joined("lo", group); got || err != nil {
				t.Errorf("%s joined on lo: %v, %v", group, got, err)
			}
		}
		joined(false)
		for _, d := range []lvs.SyncDaemon{backup, master} {
			if err := k.StartSync(ctx, d); err != nil {
				t.Fatal(err)
			}
			want := "ipvsadm --start-daemon " + d.String() + ": "
			if err := k.StartSync(ctx, d); !errors.Is(err, fs.ErrExist) || err.Error()[:len(want)] != want {
				t.Errorf("a second one: %v", err)
			}
		}
		joined(true)
		have, err := k.SyncDaemons(ctx)
		if err != nil || len(have) != 2 || !have[0].Equal(master) || !have[1].Equal(backup) || have[0].MaxLen != 1000 || have[1].MaxLen == 0 {
			t.Errorf("got %v, %v", have, err)
		}
		for range 2 {
			for _, role := range []lvs.SyncRole{lvs.SyncMaster, lvs.SyncBackup} {
				if err := k.StopSync(ctx, role); err != nil {
					t.Error(err)
				}
			}
		}
		if have, err := k.SyncDaemons(ctx); err != nil || len(have) != 0 {
			t.Errorf("after stop: %v, %v", have, err)
		}
		joined(false)
	}
	const want = "ipvsadm --start-daemon master --mcast-interface none0 --syncid 0: there is no interface none0"
	if err := k.StartSync(ctx, lvs.SyncDaemon{Role: lvs.SyncMaster, Interface: "none0"}); !errors.Is(err, host.ErrNotInstalled) || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

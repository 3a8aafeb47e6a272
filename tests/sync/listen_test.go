package sync

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"lvs-agents/internal/kernel/resync"
	"lvs-agents/internal/lvs"
)

// TestListen listens while a backup daemon runs and another director sends: with the same
// syncid, with another one, and with version 0.
func TestListen(t *testing.T) {
	d := newDirectors(t, "")
	d.two.Script(t, fmt.Sprintf(startDaemons, ""))
	backup := lvs.SyncDaemon{Role: lvs.SyncBackup, Interface: "eth0", ID: 7}
	for _, tt := range []struct {
		prepare string
		want    lvs.SyncSender
	}{
		{"true", lvs.SyncSender{ID: 7, Version: 1}},
		{"sysctl -qw net.ipv4.vs.sync_version=0; ipvsadm --stop-daemon master; ipvsadm --start-daemon master --mcast-interface eth0 --syncid 7",
			lvs.SyncSender{ID: 7, Version: 0}},
		{"sysctl -qw net.ipv4.vs.sync_version=1; ipvsadm --stop-daemon master; ipvsadm --start-daemon master --mcast-interface eth0 --syncid 9",
			lvs.SyncSender{ID: 9, Version: 1}},
	} {
		d.one.Script(t, tt.prepare)
		heard := make(chan []lvs.SyncSender, 1)
		go func() {
			var senders []lvs.SyncSender
			err := d.two.Do(func() (err error) {
				senders, err = resync.Listen(t.Context(), backup, 1)
				return err
			})
			if err != nil {
				t.Error(err)
			}
			heard <- senders
		}()
		d.open(t, 20)
		tt.want.Addr = netip.MustParseAddr(d.one.Addr)
		if got := <-heard; !slices.Contains(got, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.prepare, got, tt.want)
		} else {
			t.Log(got)
		}
	}
}

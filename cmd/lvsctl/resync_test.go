package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"lvs-agents/internal/kernel/resync"
	"lvs-agents/internal/lvs"
)

func TestResync(t *testing.T) {
	report := resync.Report{Sent: 500, Left: 2, Elsewhere: 3, Took: time.Second, Daemon: lvs.SyncDaemon{Group: netip.MustParseAddr("224.0.0.81")}}
	const counts = " 500 connections to 224.0.0.81 in 1s; left out: 2 that have ended or that a message cannot carry, 3 for addresses of other directors"
	for _, tt := range []struct {
		args     []string
		damaged  int
		err      error
		all, dry bool
		code     int
		want     string
	}{
		{args: []string{"resync"}, want: "sent" + counts + "\n"},
		{args: []string{"resync", "--dry-run"}, dry: true, want: "would send" + counts + "\n"},
		{args: []string{"resync", "--all"}, all: true, damaged: 4, want: "sent" + counts + ", 4 lines in an unknown format\n"},
		{args: []string{"resync"}, err: resync.ErrStopped, code: exitFailed,
			want: "lvsctl: no master synchronisation daemon runs on this host; start ocf:lvs:sync or ipvsadm --start-daemon master\n"},
	} {
		var out bytes.Buffer
		code := run(t.Context(), tt.args, system{stdout: &out, stderr: &out, resync: func(_ context.Context, all, dry bool) (fmt.Stringer, error) {
			if all != tt.all || dry != tt.dry {
				return nil, errors.New("other options")
			}
			report.Damaged = tt.damaged
			return report, tt.err
		}})
		if code != tt.code || out.String() != tt.want {
			t.Errorf("%q: code %d\ngot  %swant %s", tt.args, code, out.String(), tt.want)
		}
	}
}

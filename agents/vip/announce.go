package vip

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"lvs-agents/internal/host"
	"lvs-agents/internal/state"
	"lvs-agents/ocf"
)

// announce sends the announcements of a start. If this host can never send announcements, it
// returns an error, because neighbours that have learnt another director would keep sending to that
// director. Other errors are only logged as warnings, because a recurring monitor can announce
// again.
func (a *Agent) announce(ctx context.Context, c ocf.Call, nic, former string) error {
	err := a.neighbour.Announce(ctx, host.Announcement{
		NIC: nic, IP: a.IP, Count: a.ArpCount, Interval: a.interval(), Also: former, Wait: !a.ArpBackground,
	})
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s on %s cannot be announced, so neighbours keep sending to the previous director: %w; start the cluster manager with CAP_NET_RAW", a.IP, nic, err)
	case errors.Is(err, host.ErrNotInstalled):
		return fmt.Errorf("%s on %s cannot be announced, so neighbours keep sending to the previous director: %w", a.IP, nic, err)
	case err != nil:
		c.Log.Warnf("%s is on %s, but was not announced: %v", a.IP, nic, err)
		return nil
	}
	a.rememberAnnouncement(c)
	return nil
}

// refresh announces the address again, at most once in a refresh interval. So neighbours learn the
// address if they missed the last announcement, for example because the network was split.
func (a *Agent) refresh(ctx context.Context, c ocf.Call, nic string) {
	if a.ArpCountRefresh == 0 || !a.refreshDue(c) {
		return
	}
	err := a.neighbour.Announce(ctx, host.Announcement{NIC: nic, IP: a.IP, Count: a.ArpCountRefresh, Interval: a.interval()})
	if err != nil {
		c.Log.Warnf("%s is on %s, but was not announced again: %v", a.IP, nic, err)
		return
	}
	a.rememberAnnouncement(c)
}

// refreshDue reports whether the last announcement is older than the refresh interval. It returns
// true if the interval is 0, or if the time of the last announcement is unknown.
func (a *Agent) refreshDue(c ocf.Call) bool {
	if a.RefreshInterval == 0 {
		return true
	}
	text, err := a.notes(c).announced.Read()
	at, errParse := time.ParseDuration(strings.TrimSpace(text))
	if err != nil || errParse != nil {
		return true
	}
	age := state.SinceBoot() - at
	return age < 0 || age >= time.Duration(a.RefreshInterval)*time.Second
}

// rememberAnnouncement writes the time of an announcement to a note. If the write fails, every
// monitor announces the address, which does no harm.
func (a *Agent) rememberAnnouncement(c ocf.Call) {
	if a.RefreshInterval == 0 || a.ArpCountRefresh == 0 {
		return
	}
	if err := a.notes(c).announced.Write(state.SinceBoot().String() + "\n"); err != nil {
		c.Log.Debugf("the time of the announcement was not written: %v", err)
	}
}

func (a *Agent) interval() time.Duration { return time.Duration(a.ArpInterval) * time.Millisecond }

package vip

import (
	"context"
	"strings"
	"time"

	"lvs-agents/internal/state/record"
	"lvs-agents/ocf"
)

// refresh announces the address again, for neighbours that missed the last
// announcement: the network was split, for example. It does so at most once in
// every refresh interval.
func (a *Agent) refresh(ctx context.Context, c ocf.Call, nic string) {
	if a.ArpCountRefresh == 0 || !a.refreshDue(c) {
		return
	}
	err := a.neighbour.Announce(ctx, Announcement{NIC: nic, IP: a.IP, Count: a.ArpCountRefresh, Interval: a.interval()})
	if err != nil {
		c.Log.Warnf("%s is on %s, but was not announced again: %v", a.IP, nic, err)
		return
	}
	a.rememberAnnouncement(c)
}

// refreshDue reports whether the last announcement is older than the refresh
// interval, or unknown.
func (a *Agent) refreshDue(c ocf.Call) bool {
	if a.RefreshInterval == 0 {
		return true
	}
	text, err := a.notes(c).announced.Read()
	at, errParse := time.ParseDuration(strings.TrimSpace(text))
	if err != nil || errParse != nil {
		return true
	}
	age := record.SinceBoot() - at
	return age < 0 || age >= time.Duration(a.RefreshInterval)*time.Second
}

// rememberAnnouncement writes the time of an announcement. Where it cannot be
// written, every monitor announces, which does no harm.
func (a *Agent) rememberAnnouncement(c ocf.Call) {
	if a.RefreshInterval == 0 || a.ArpCountRefresh == 0 {
		return
	}
	if err := a.notes(c).announced.Write(record.SinceBoot().String() + "\n"); err != nil {
		c.Log.Debugf("the time of the announcement was not written: %v", err)
	}
}

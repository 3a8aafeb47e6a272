package health

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"lvs-agents/internal/config"
	"lvs-agents/internal/policy"
)

// suspect lets the daemon suspect itself after real servers have failed. The reason can be that
// this host has no path to most real servers. Or most real servers of several services failed
// within the time that the checks need for a verdict. Then the failed servers serve for the time
// OwnFault. Their verdicts stay bad, so the node attribute falls and another director can take
// over.
func (d *Daemon) suspect() {
	failed := d.failed
	d.failed = false
	if !failed || !d.canSuspect() {
		return
	}
	from := d.window()
	pools := make([]policy.Pool, len(d.setup.Services))
	for i, service := range d.setup.Services {
		for _, real := range service.Reals {
			since, _ := d.spans(service.ID, real)
			v := d.checkedVerdict(service.ID, real)
			fell := v == Bad && since.After(from)
			pools[i].Servers += one(fell || v == Good)
			pools[i].Failed += one(fell)
		}
	}
	switch {
	case d.losePaths():
		d.doubt(d.cut)
	case policy.OwnFault(pools):
		d.doubt("most real servers of several services failed at the same moment")
	}
}

func (d *Daemon) canSuspect() bool {
	return d.setup.OwnFault > 0 && d.phase() == config.Running && !time.Now().Before(d.suspicion.Until)
}

// window returns the time after which failures count as the same moment.
func (d *Daemon) window() time.Time { return d.suspicion.Window(time.Now(), d.share().Reaction) }

// doubt begins a suspicion.
func (d *Daemon) doubt(cause string) {
	now := time.Now()
	d.suspicion, d.cause = policy.Suspicion{From: d.window(), Until: now.Add(d.setup.OwnFault)}, cause
	d.options.Log.Warn(d.suspected(now))
	e := d.event(OwnFault, nil)
	e.Reason = d.suspected(now).Error()
	d.options.occurred(e)
	d.decideDue(true)
}

// suspected returns an error while the daemon suspects itself.
func (d *Daemon) suspected(now time.Time) error {
	if !now.Before(d.suspicion.Until) {
		return nil
	}
	return errors.New("own fault suspected: " + d.cause + ", so real servers that fail now continue to serve until " +
		d.suspicion.Until.Format(time.TimeOnly) + "; check the link, the gateway and the addresses of this host")
}

// patrol checks the paths to the real servers once in a period. If this host loses them, the daemon
// suspects itself before the checks have verdicts. patrol reports whether the daemon has decided
// something.
func (d *Daemon) patrol() bool {
	if d.cause != "" && d.suspected(time.Now()) == nil {
		d.cause = ""
		d.options.Log.Info("own fault no longer suspected: the verdicts count again")
		d.options.occurred(d.event(OwnFaultOver, nil))
	}
	if d.losePaths() && d.canSuspect() {
		d.doubt(d.cut)
		return true
	}
	return false
}

// losePaths updates cut, and reports whether this host had paths to most real servers before and
// has none now.
func (d *Daemon) losePaths() bool {
	before := d.cut
	d.cut = d.pathFault()
	return before == "" && d.cut != ""
}

// pathFault returns why this host has no path to most real servers, or an empty text. It queries
// the paths to a few real servers only, because it runs in each period.
func (d *Daemon) pathFault() (fault string) {
	if d.setup.OwnFault == 0 || d.options.PathFault == nil {
		return ""
	}
	const most, patience = 16, 200 * time.Millisecond
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	seen, broken := map[netip.Addr]bool{}, 0
	step, n := 1+d.setup.reals()/most, 0
	for _, service := range d.setup.Services {
		for _, real := range service.Reals {
			if n++; n%step != 0 || seen[real.Addr.Addr()] {
				continue
			}
			seen[real.Addr.Addr()] = true
			if found, err := d.options.PathFault(ctx, real.Addr.Addr()); err == nil && found != "" {
				fault = found
				broken++
			}
		}
	}
	if 2*broken <= len(seen) {
		return ""
	}
	return fault
}

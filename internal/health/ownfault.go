package health

import (
	"errors"
	"time"

	"lvs-agents/internal/config"
	"lvs-agents/internal/policy"
)

// suspect lets the daemon suspect itself when most servers of several services fail within the time
// that the checks need for a verdict. Then the failed servers serve for the time OwnFault. Their
// verdicts stay bad, so the node attribute falls and another director can take over.
func (d *Daemon) suspect() {
	now := time.Now()
	failed := d.failed
	d.failed = false
	if !failed || d.setup.OwnFault == 0 || d.phase() != config.Running || now.Before(d.suspicion.Until) {
		return
	}
	from := d.suspicion.Window(now, d.share().Reaction)
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
	if !policy.OwnFault(pools) {
		return
	}
	d.suspicion = policy.Suspicion{From: from, Until: now.Add(d.setup.OwnFault)}
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
	const what = "own fault suspected: most real servers of several services failed at the same moment, so the failed ones continue to serve"
	return errors.New(what + " until " + d.suspicion.Until.Format(time.TimeOnly) + "; check the link, the gateway and the addresses of this host")
}

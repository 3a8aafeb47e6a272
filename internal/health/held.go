package health

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"lvs-agents/internal/lvs"
	"lvs-agents/internal/state/record"
)

// notHeld has the services that the daemon wants but must not change, each with the reason. The
// daemon does not change the weights of their real servers.
type notHeld map[lvs.ServiceID]string

// Error returns the first service with its reason, and the number of the other services.
func (n notHeld) Error() string {
	first := slices.SortedFunc(maps.Keys(n), lvs.ServiceID.Compare)[0]
	text := fmt.Sprintf("%s is checked but not balanced: %s", first, n[first])
	if len(n) > 1 {
		text += fmt.Sprintf(" (and %d services more)", len(n)-1)
	}
	return text
}

// notHeldOf returns the notHeld that err contains. It returns nil for every other error.
func notHeldOf(err error) notHeld {
	lost, _ := errors.AsType[notHeld](err)
	return lost
}

// loss is why the daemon does not hold services. It decides how the daemon can adopt them again.
type loss uint8

const (
	// recordLost means that another program has removed the daemon's own record.
	recordLost loss = iota
	// resourceRestarted means that the cluster has restarted an ipvs resource, and the daemon has not
	// claimed its services again yet.
	resourceRestarted
)

// regain requests another adoption of the lost services if it can succeed. regain does not do this
// for services of a stopped resource, because the daemon would then undo the stop.
func (r *reconciler) regain(lost notHeld) {
	records, damaged, err := r.store.Others("")
	if err != nil || len(damaged) > 0 {
		return // For these records, share would return an error, so the daemon does not try to adopt them.
	}
	owners := map[lvs.ServiceID]record.Record{}
	for _, held := range records {
		for _, id := range held.Services.IDs() {
			owners[id] = held
		}
	}
	own, restarted := false, false
	for id := range lost {
		held, owned := owners[id]
		own = own || !owned && r.scopes[record.OwnID(r.id)][id]
		restarted = restarted || owned && held.State == record.Running && r.free(held) == nil
	}
	how := recordLost
	switch {
	case restarted:
		how = resourceRestarted
	case !own:
		return
	}
	select {
	case r.lost <- how:
	default:
	}
}

package page

import (
	"context"
	"slices"
	"sync"
	"time"

	"lvs-agents/internal/control"
	"lvs-agents/internal/health"
)

const (
	window = time.Hour       // window is how far back the page shows events and verdicts.
	period = 5 * time.Second // period is how often Run reads the states of the daemons.
	// mostEvents and mostChanges limit the memory of the page: all events, and the verdicts of one
	// real server.
	mostEvents  = 10000
	mostChanges = 100
)

// member identifies a real server of a virtual service.
type member struct{ daemon, service, server string }

// change is the begin of a verdict.
type change struct {
	verdict string
	since   time.Time
}

// nodes are the values of a node attribute by the names of the nodes.
type nodes struct {
	values map[string]string
	err    error // err is why the values could not be read, or nil.
}

// Run records events, verdicts and node attributes until ctx ends.
func (p *Page) Run(ctx context.Context) {
	var readers sync.WaitGroup
	defer readers.Wait()
	ended, reading := make(chan string), map[string]bool{}
	tick := time.NewTicker(period)
	defer tick.Stop()
	for {
		states, _ := p.source.States(ctx) // The page shows the error when a client requests it.
		p.observe(states)
		p.readNodes(ctx, states)
		for _, s := range states {
			if reading[s.ID] {
				continue
			}
			reading[s.ID] = true
			readers.Go(func() {
				// An error says that the daemon has ended, and the next period reads its events again.
				_ = p.source.Events(ctx, s.ID, p.add)
				select {
				case ended <- s.ID:
				case <-ctx.Done():
				}
			})
		}
		for waiting := true; waiting; {
			select {
			case <-ctx.Done():
				return
			case id := <-ended:
				delete(reading, id)
			case <-tick.C:
				waiting = false
			}
		}
	}
}

// observe records the present verdicts. It forgets real servers that are not configured any more.
// If a daemon does not reply, observe keeps what it has recorded.
func (p *Page) observe(states []control.State) {
	p.mu.Lock()
	defer p.mu.Unlock()
	next := map[member][]change{}
	silent := map[string]bool{}
	for _, s := range states {
		silent[s.ID] = s.Err != nil
		for _, service := range s.Snapshot.Services {
			for _, real := range service.Reals {
				m := member{s.ID, service.ID, real.Addr}
				next[m] = recorded(p.verdicts[m], change{real.Verdict, real.Since}, s.Snapshot.Now.Add(-window))
			}
		}
	}
	for m, changes := range p.verdicts {
		if silent[m.daemon] {
			next[m] = changes
		}
	}
	p.verdicts = next
}

// recorded adds a change if it is newer than the others. It drops changes that have no effect after
// the time first.
func recorded(changes []change, last change, first time.Time) []change {
	if n := len(changes); n == 0 || last.since.After(changes[n-1].since) {
		changes = append(changes, last)
	}
	for len(changes) > 1 && (changes[1].since.Before(first) || len(changes) > mostChanges) {
		changes = slices.Delete(changes, 0, 1)
	}
	return changes
}

// add records an event of the last hour in the order of the times, if the event is new. Single
// checks that changed no verdict are not recorded.
func (p *Page) add(e control.Event) error {
	switch e.Kind {
	case string(health.CheckFailed), string(health.CheckPassed):
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.source.Now()
	if e.Time.IsZero() {
		e.Time = now
	}
	at, _ := slices.BinarySearchFunc(p.events, e.Time, byTime)
	equal := p.events[at:]
	for len(equal) > 0 && equal[0].Time.Equal(e.Time) {
		if key(equal[0]) == key(e) {
			return nil
		}
		equal = equal[1:]
	}
	if e.Time.Before(now.Add(-window)) {
		return nil
	}
	p.events = slices.Insert(p.events, len(p.events)-len(equal), e)
	if len(p.events) > mostEvents {
		p.events = p.events[1:]
		p.lost++
	}
	return nil
}

// key is equal for two events if they are the same event.
func key(e control.Event) [5]string { return [5]string{e.Daemon, e.Kind, e.Service, e.Server, e.Op} }

func byTime(e control.Event, t time.Time) int { return e.Time.Compare(t) }

// readNodes reads the node attributes that the daemons publish.
func (p *Page) readNodes(ctx context.Context, states []control.State) {
	ctx, cancel := context.WithTimeout(ctx, period)
	defer cancel()
	found := map[string]nodes{}
	for _, s := range states {
		if a := s.Snapshot.Attribute; a != nil {
			values, err := p.source.Attributes(ctx, a.Name)
			found[a.Name] = nodes{values, err}
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.nodes = found
}

// recent returns the events of the last hour, the newest first, and how many are missing.
func (p *Page) recent(now time.Time) ([]control.Event, int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	first := now.Add(-window)
	old, _ := slices.BinarySearchFunc(p.events, first, byTime)
	p.events = p.events[old:]
	if old > 0 {
		p.lost = 0 // Every lost event was older than an event that is older than an hour.
	}
	events := slices.Clone(p.events)
	slices.Reverse(events)
	return events, p.lost
}

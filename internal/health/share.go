package health

import (
	"context"
	"time"
)

// Share is the part of the configured weight whose real servers are good, over all services. A real
// server that an operator drains counts with the verdict of its checks, because the drain says
// nothing about this host. If this host has no path to most real servers, none counts as good.
// Fallbacks and added real servers do not count.
type Share struct {
	// Good and All are sums of configured weights: of the good real servers, and of all.
	Good, All int
	Known     bool // Known says that every real server has a verdict.
	// Reaction is the longest time until the checks turn a fault of a real server into a verdict.
	Reaction time.Duration
}

// Score returns 0 if no real server is good, and otherwise 500 to 1000 in proportion to the share.
// So a host that sees one real server has a far higher score than a host that sees none. Without
// any weight the score is 1000.
func (s Share) Score() int {
	const least, most = 500, 1000
	switch {
	case s.All == 0:
		return most
	case s.Good == 0:
		return 0
	}
	return least + (most-least)*s.Good/s.All
}

// Share returns the share that the present verdicts give.
func (d *Daemon) Share(ctx context.Context) (s Share, err error) {
	err = d.do(ctx, func(context.Context) error {
		s = d.share()
		return nil
	})
	return s, err
}

func (d *Daemon) share() Share {
	s := Share{Known: d.unknown == 0}
	for _, service := range d.setup.Services {
		for _, real := range service.Reals {
			if _, added := d.added[Member{service.ID, real.Addr}]; added {
				continue // Another director can lack it, and the shares of directors are compared.
			}
			s.All += real.Weight
			if d.checkedVerdict(service.ID, real) == Good && d.cut == "" {
				s.Good += real.Weight
			}
		}
	}
	for p := range d.trackers {
		if !p.isAgent() {
			s.Reaction = max(s.Reaction, p.reaction())
		}
	}
	return s
}

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"lvs-agents/internal/control"
	"lvs-agents/internal/lvs"
	"lvs-agents/internal/top"
)

type topCommand struct{}

// Run shows the state of all health daemons on this node until the operator quits.
func (topCommand) Run(ctx context.Context, sys system) error {
	if sys.view == nil {
		return errors.New("top needs a terminal for its input and its output; lvsctl status --watch works without one")
	}
	return sys.view(ctx, top.Source{
		Host: sys.host, Colour: sys.colour,
		Read: func() top.State { return topState(ctx, sys) },
		Explain: func(service, server string) string {
			return printed(sys, func(sys system) error { return explainCommand{Service: service, Real: server}.Run(ctx, sys) })
		},
		Give: func(o top.Order) error {
			request := orderRequest{target: target{Service: o.Service, Real: o.Server}, order: control.Order{Kind: o.Kind, Weight: o.Weight}}
			return request.give(ctx, sys)
		},
	})
}

// printed returns everything that a command prints.
func printed(sys system, command func(system) error) string {
	var text bytes.Buffer
	sys.stdout, sys.stderr, sys.colour = &text, &text, false
	if err := command(sys); err != nil && !errors.Is(err, errNo) {
		failed(sys, err)
	}
	return text.String()
}

// topState reads the state of all daemons and the counters of the kernel at the same time. Each
// read can take the time patience.
func topState(ctx context.Context, sys system) (state top.State) {
	type counted struct {
		counters map[connection]lvs.Counters
		err      error
	}
	read := make(chan counted, 1)
	go func() {
		limited, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		counters, err := countersOf(limited, sys)
		read <- counted{counters, err}
	}()
	states, err := control.States(ctx, sys.stateDir, patience)
	if err != nil {
		state.Troubles = append(state.Troubles, err.Error())
	}
	if len(states) == 0 && err == nil {
		state.Troubles = append(state.Troubles, errNoDaemon.Error())
	}
	kernel := <-read
	if kernel.err != nil && len(states) > 0 {
		state.Troubles = append(state.Troubles, fmt.Sprintf("connections are unknown: %v", kernel.err))
	}
	state.Daemons = len(states)
	for _, s := range states {
		switch {
		case errors.Is(s.Err, context.DeadlineExceeded):
			state.Troubles = append(state.Troubles, fmt.Sprintf("directord %s has not replied for %s", s.ID, patience))
			continue
		case s.Err != nil:
			state.Troubles = append(state.Troubles, s.Err.Error())
			continue
		}
		if err := s.Snapshot.Alive(); err != nil {
			state.Troubles = append(state.Troubles, s.ID+": "+err.Error())
		} else if s.Snapshot.Trouble != "" {
			state.Troubles = append(state.Troubles, s.ID+": "+s.Snapshot.Trouble)
		}
		addCounters(s.Snapshot, kernel.counters)
		for _, service := range s.Snapshot.Services {
			state.Services = append(state.Services, topService(s.ID, s.Snapshot.Now, service))
		}
	}
	return state
}

// topService returns a service with the same words as the command status.
func topService(daemon string, now time.Time, s control.Service) top.Service {
	service := top.Service{Daemon: daemon, ID: s.ID, Title: localAddress(s.ID) + " " + s.Scheduler + persistent(s), Reason: strings.TrimSpace(unusual(s))}
	add := func(r control.Real, verdict string) {
		service.Servers = append(service.Servers, top.Server{
			Addr: r.Addr, Weight: r.Weight, Weights: weight(s, r), Verdict: verdict,
			Aged: !r.Since.IsZero(), Reason: why(r), Traffic: r.Traffic,
		})
		if last := &service.Servers[len(service.Servers)-1]; last.Aged {
			last.Age = max(0, now.Sub(r.Since))
		}
	}
	for _, f := range fallbacks(s) {
		if f.Weight >= 0 {
			add(f, "fallback")
		}
	}
	for _, r := range s.Reals {
		add(r, r.Verdict)
	}
	return service
}

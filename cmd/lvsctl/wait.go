package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"lvs-agents/internal/control"
	"lvs-agents/internal/lvs"
)

type waitCommand struct {
	State string `arg:"" enum:"drained,up,down,full" help:"drained: the kernel gives the real server no new connections and has no open ones. up: its checks pass and it gets new connections. full: as up, and a slow start has ended. down: its checks fail."`
	target
	Timeout time.Duration `default:"1m" placeholder:"TIME" help:"Give up after this time with exit code 3."`
}

const (
	// pollPeriod is the time between two reads of the state.
	pollPeriod = 500 * time.Millisecond
	// steadyReads is how many reads in a row must find the state. For the kernel, a connection that
	// begins is not open until the client has acknowledged it.
	steadyReads = 2
)

// errTimeout is the error of wait if the time has ended.
var errTimeout = errors.New("timed out")

// Run waits until all real servers of the target have the state.
func (c waitCommand) Run(ctx context.Context, sys system) error {
	end := time.NewTimer(c.Timeout)
	defer end.Stop()
	poll := time.NewTicker(pollPeriod)
	defer poll.Stop()
	for reads := 0; ; {
		missing, err := c.read(ctx, sys)
		if _, unknown := errors.AsType[unknownName](err); unknown || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		// A daemon that does not reply can be restarting.
		if reads++; err != nil || missing != "" {
			reads = 0
		}
		if reads == steadyReads {
			return nil
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			return ctx.Err()
		case <-end.C:
			switch {
			case errors.Is(err, errNoDaemon):
				return fmt.Errorf("%w after %s: %w", errTimeout, c.Timeout, noOrder(ctx, sys))
			case err != nil:
				return fmt.Errorf("%w after %s: %w", errTimeout, c.Timeout, err)
			case missing == "":
				missing = "the state was " + c.State + " only at the end"
			}
			return fmt.Errorf("%w after %s: %s", errTimeout, c.Timeout, missing)
		}
	}
}

// read returns the first real server that does not have the state, with the reason. It returns an
// empty text if all real servers have the state.
func (c waitCommand) read(ctx context.Context, sys system) (missing string, err error) {
	find := c.find
	if c.Service == "" {
		find = allHolders
	}
	holders, err := find(ctx, sys)
	if err != nil {
		return "", err
	}
	var table lvs.Table
	var connections map[connection]lvs.Counters
	if c.State == "drained" {
		if table, err = sys.kernel.Table(ctx); err != nil {
			return "", err
		}
		if connections, err = countersOf(ctx, sys); err != nil {
			return "", err
		}
	}
	for _, h := range holders {
		for _, real := range h.servers {
			ready, found := false, ""
			if c.State == "drained" {
				ready, found = drained(table, connections, connection{h.service, real.Addr})
			} else {
				ready, found = c.has(real)
			}
			if !ready {
				return fmt.Sprintf("%s of %s is not %s: %s", real.Addr, h.service, c.State, found), nil
			}
		}
	}
	return "", nil
}

// allHolders returns all services of the health daemons on this node with their real servers.
func allHolders(ctx context.Context, sys system) (holders []holder, err error) {
	ids, err := control.IDs(sys.stateDir)
	if err != nil {
		return nil, err
	}
	if len(ids) == 0 {
		return nil, errNoDaemon
	}
	for _, id := range ids {
		snapshot, err := snapshotOf(ctx, sys.stateDir, id)
		if err != nil {
			return nil, err
		}
		for _, s := range snapshot.Services {
			holders = append(holders, holderOf(id, s))
		}
	}
	return holders, nil
}

// has reports whether the daemon sees a real server in the state, and what it sees.
func (c waitCommand) has(r control.Real) (ready bool, found string) {
	serves := r.Verdict == "good" && r.Weight > 0
	switch c.State {
	case "down":
		ready = r.Verdict == "bad"
	case "up":
		ready = serves
	case "full":
		ready = serves && r.Cause != "rising"
	}
	found = fmt.Sprintf("its verdict is %s and its weight %s", r.Verdict, weightText(r.Weight))
	if reason := why(r); reason != "" {
		found += " (" + reason + ")"
	}
	return ready, found
}

// drained reports whether the kernel gives a real server no new connections and has no open ones,
// and what it has.
func drained(table lvs.Table, connections map[connection]lvs.Counters, at connection) (ready bool, found string) {
	weight := -1
	for _, v := range table {
		for _, d := range v.Destinations {
			if v.ID.String() == at.service && d.Addr.String() == at.server {
				weight = d.Weight
			}
		}
	}
	open := openOf(connections, at)
	return weight <= 0 && open == 0, fmt.Sprintf("its weight is %s and it has %d open connections", weightText(weight), open)
}

// openOf returns the number of open connections of a real server.
func openOf(connections map[connection]lvs.Counters, at connection) uint32 {
	counters := connections[at]
	if strings.HasPrefix(at.service, "-u ") {
		return counters.Active + counters.Inactive // The kernel counts all connections of UDP as inactive.
	}
	return counters.Active
}

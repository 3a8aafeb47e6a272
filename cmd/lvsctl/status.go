package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"lvs-agents/agents/vip/note"
	"lvs-agents/internal/control"
	"lvs-agents/internal/lvs"
)

type statusCommand struct {
	Watch bool `short:"w" help:"Print the state again every two seconds, until lvsctl is interrupted."`
	All   bool `help:"Print all real servers. Without it, a daemon with more than 200 real servers shows only the unusual ones and the number of the others."`
	JSON  bool `help:"Print the state of the health daemons as JSON: see docs/control.md." name:"json"`

	Wait    string        `enum:",drained,up,down,full" default:"" placeholder:"STATE" help:"First wait until all real servers have this state: drained, up, full or down, as for lvsctl wait. After the timeout, the exit code is 3."`
	Service string        `placeholder:"SERVICE" help:"With --wait, wait only for the real servers of this virtual service."`
	Timeout time.Duration `default:"1m" placeholder:"TIME" help:"With --wait, give up after this time."`
}

const (
	// queryLimit is how long lvsctl waits for a daemon.
	queryLimit = 5 * time.Second
	// watchPeriod is the time between two outputs of status --watch.
	watchPeriod = 2 * time.Second
	// clearScreen moves the cursor of a terminal to its first line and erases all lines.
	clearScreen = "\x1b[H\x1b[2J"
)

// Run prints the state of all health daemons on this node. As text, it also prints the replies that
// vip resources got from neighbours. With Wait, it first waits for a state of the real servers.
func (c statusCommand) Run(ctx context.Context, sys system) error {
	switch {
	case c.Wait != "":
		if err := (waitCommand{State: c.Wait, target: target{Service: c.Service}, Timeout: c.Timeout}).Run(ctx, sys); err != nil {
			return err
		}
	case c.Service != "":
		return errors.New("--service needs --wait")
	}
	if !c.Watch {
		return c.print(ctx, sys)
	}
	for {
		screen := sys
		var text bytes.Buffer
		screen.stdout, screen.stderr = &text, &text
		if err := c.print(ctx, screen); err != nil && !errors.Is(err, errNo) {
			failed(screen, err)
		}
		if sys.colour {
			fmt.Fprint(sys.stdout, clearScreen)
		}
		if _, err := text.WriteTo(sys.stdout); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(watchPeriod):
		}
	}
}

func (c statusCommand) print(ctx context.Context, sys system) error {
	ids, err := control.IDs(sys.stateDir)
	if err != nil {
		return err
	}
	proofs, err := note.All(sys.stateDir, note.Proof)
	if err != nil {
		return err
	}
	if len(ids) == 0 && len(proofs) == 0 {
		err := noDaemon(ctx, sys)
		if !c.JSON {
			return err
		}
		failed(sys, err)
	}
	var counters map[connection]lvs.Counters
	if len(ids) > 0 {
		counters = connectionsOf(ctx, sys)
	}
	snapshots := []control.Snapshot{}
	var result error
	read := func(ctx context.Context, id string) (control.Snapshot, error) {
		return control.Status(ctx, sys.stateDir, id)
	}
	queryAll(ctx, sys, ids, read, func(s control.Snapshot, err error) {
		if err == nil {
			addCounters(s, counters)
			snapshots = append(snapshots, s)
			if !c.JSON {
				c.write(sys, s)
			}
			err = judged(s)
		}
		if err != nil {
			failed(sys, err)
			result = errNo
		}
	})
	if c.JSON {
		slices.SortFunc(snapshots, func(a, b control.Snapshot) int { return strings.Compare(a.ID, b.ID) })
		return errors.Join(writeJSON(sys.stdout, snapshots), result)
	}
	writeProofs(sys.stdout, proofs)
	return result
}

// queryAll sends a query to all daemons at the same time, and calls the function each for every
// reply. Replies within the time patience are in the order of ids. If a daemon takes longer,
// queryAll reports it, and its reply follows.
func queryAll[T any](ctx context.Context, sys system, ids []string, query func(ctx context.Context, id string) (T, error), each func(T, error)) {
	type reply struct {
		id    string
		value T
		err   error
	}
	ctx, cancel := context.WithTimeout(ctx, queryLimit)
	defer cancel()
	replies := make(chan reply, len(ids))
	for _, id := range ids {
		go func() {
			value, err := query(ctx, id)
			replies <- reply{id, value, err}
		}()
	}
	soon := map[string]reply{}
	for late := time.After(patience); len(soon) < len(ids) && late != nil; {
		select {
		case r := <-replies:
			soon[r.id] = r
		case <-late:
			late = nil
		}
	}
	for _, id := range ids {
		if r, replied := soon[id]; replied {
			each(r.value, r.err)
			continue
		}
		fmt.Fprintf(sys.stderr, "lvsctl: directord %s has not replied for %s; lvsctl waits for %s at most\n", inert(id), patience, queryLimit)
	}
	for range len(ids) - len(soon) {
		r := <-replies
		each(r.value, r.err)
	}
}

// addCounters adds the counters of the kernel to the real servers and fallbacks of a snapshot.
func addCounters(s control.Snapshot, counters map[connection]lvs.Counters) {
	add := func(service string, r *control.Real) {
		if n, counted := counters[connection{service, r.Addr}]; counted {
			r.Traffic = &control.Traffic{Active: n.Active, Inactive: n.Inactive, ConnRate: n.ConnRate, InRate: n.InRate, OutRate: n.OutRate}
		}
	}
	for _, service := range s.Services {
		for i := range service.Reals {
			add(service.ID, &service.Reals[i])
		}
		if service.Fallback != nil {
			add(service.ID, service.Fallback)
		}
		for i := range service.OtherFallbacks {
			add(service.ID, &service.OtherFallbacks[i])
		}
	}
}

// judged returns an error if a daemon does not work, or if it does not balance a service.
func judged(s control.Snapshot) error {
	if err := s.Alive(); err != nil {
		return err
	}
	for _, service := range s.Services {
		if service.Trouble != "" {
			return fmt.Errorf("directord %s does not balance %s: %s", s.ID, service.ID, service.Trouble)
		}
	}
	return nil
}

func snapshotOf(ctx context.Context, dir, id string) (control.Snapshot, error) {
	limited, cancel := context.WithTimeout(ctx, queryLimit)
	defer cancel()
	return control.Status(limited, dir, id)
}

// writeProofs prints which replies the vip resources of this node got from neighbours at their
// start.
func writeProofs(out io.Writer, proofs map[string]string) {
	for _, id := range slices.Sorted(maps.Keys(proofs)) {
		for line := range strings.Lines(proofs[id]) {
			fmt.Fprintf(out, "%s: vip, at its start: %s\n", inert(id), inert(strings.TrimSuffix(line, "\n")))
		}
	}
}

// mostReals is how many real servers of a daemon are printed without --all.
const mostReals = 200

// write prints the services of a daemon as ipvsadm -ln does, with the verdict on each real server.
func (c statusCommand) write(sys system, s control.Snapshot) {
	fmt.Fprintln(sys.stdout, inert(fmt.Sprintf("%s: directord %s, process %d, %s, running for %s", s.ID, s.Version, s.PID, s.Config, age(s.Now, s.Started))))
	if s.Trouble != "" {
		fmt.Fprintln(sys.stdout, inert("trouble: "+s.Trouble))
	}
	if held := heldAddresses(sys, s); held != "" {
		fmt.Fprintln(sys.stdout, "addresses: "+inert(held))
	}
	total := 0
	for _, service := range s.Services {
		total += len(service.Reals)
	}
	t := grid{colour: sys.colour}
	t.add("Prot LocalAddress:Port Scheduler")
	t.add("  -> RemoteAddress:Port", "Forward", "Weight", "ActiveConn", "InActConn", "Conn/s", "Verdict", "Since", "Reason")
	hidden := tally{}
	for _, service := range s.Services {
		var shown []control.Real
		for _, real := range service.Reals {
			if !c.All && total > mostReals && (usual(service, real) || t.servers == mostReals) {
				hidden[real.Verdict]++
				continue
			}
			t.servers++
			shown = append(shown, real)
		}
		if len(shown) == 0 && len(service.Reals) > 0 && unusual(service) == "" {
			continue
		}
		t.service(s.Now, service, shown)
	}
	t.print(sys.stdout)
	if len(hidden) > 0 {
		fmt.Fprintf(sys.stdout, "and more real servers: %s; lvsctl status --all prints them\n", hidden)
	}
}

// tally counts real servers by their verdicts.
type tally map[string]int

// String returns the counts in words.
func (t tally) String() string {
	var counts []string
	for _, verdict := range slices.Sorted(maps.Keys(t)) {
		counts = append(counts, fmt.Sprintf("%d %s", t[verdict], inert(verdict)))
	}
	return strings.Join(counts, ", ")
}

// usual reports whether a real server is good and has its configured weight.
func usual(s control.Service, r control.Real) bool {
	return s.Trouble == "" && r.Verdict == "good" && r.Weight == r.Configured && why(r) == ""
}

// service adds the rows of a service.
func (t *grid) service(now time.Time, s control.Service, reals []control.Real) {
	t.add(localAddress(s.ID) + " " + s.Scheduler + persistent(s) + unusual(s))
	for _, f := range fallbacks(s) {
		if f.Weight >= 0 {
			t.add(cells(now, s, f, "fallback")...)
		}
	}
	for _, r := range reals {
		t.add(cells(now, s, r, r.Verdict)...)
	}
}

// cells returns the row of a real server or a fallback.
func cells(now time.Time, s control.Service, r control.Real, verdict string) []string {
	active, inactive, rate := "-", "-", "-"
	if n := r.Traffic; n != nil {
		active, inactive, rate = strconv.Itoa(int(n.Active)), strconv.Itoa(int(n.Inactive)), strconv.Itoa(int(n.ConnRate))
	}
	since := ""
	if verdict != "fallback" {
		since = age(now, r.Since)
	}
	return []string{"  -> " + r.Addr, r.Forward, weight(s, r), active, inactive, rate, verdict, since, why(r)}
}

// unusual returns the text for a service that is not balanced, or that has too few good real
// servers. It returns "" for every other service.
func unusual(s control.Service) string {
	switch {
	case s.Trouble != "":
		return "  not balanced: " + s.Trouble
	case s.Shortage == "fail-open":
		return "  fail open: too few real servers are good, so all serve"
	case s.Shortage == "hold":
		return "  held: too few real servers are good, so the servers before the shortage serve"
	case s.Shortage != "":
		return "  too few real servers are good"
	}
	return ""
}

// why returns the reason of the verdict on a real server, and its orders. If the weight does not
// follow from them alone, why adds the reason of the weight.
func why(r control.Real) string {
	var texts []string
	add := func(text string) {
		if text != "" {
			texts = append(texts, text)
		}
	}
	add(r.Reason)
	switch r.Cause {
	case "failed":
		if r.Verdict == "good" { // The server itself says that it is down.
			add(r.Policy)
		}
	case "", "unchecked":
	case "passed", "ordered":
		if len(r.Orders) == 0 && r.Weight != r.Configured {
			add(r.Policy)
		}
	default:
		add(r.Policy)
	}
	for _, o := range r.Orders {
		add(o.String())
	}
	return strings.Join(texts, "; ")
}

// fallbacks returns all fallbacks of a service.
func fallbacks(s control.Service) []control.Real {
	if s.Fallback == nil {
		return nil
	}
	return append([]control.Real{*s.Fallback}, s.OtherFallbacks...)
}

// localAddress converts a service from "-t 192.0.2.10:80" to "TCP  192.0.2.10:80".
func localAddress(id string) string {
	option, rest, _ := strings.Cut(id, " ")
	protocol := map[string]string{"-t": "TCP", "-u": "UDP", "-f": "FWM", "--sctp-service": "SCTP"}[option]
	return fmt.Sprintf("%-4s %s", protocol, rest)
}

func persistent(s control.Service) string {
	if s.Persistence == 0 {
		return ""
	}
	return fmt.Sprintf(" persistent %.0f", s.Persistence)
}

// weight returns the text for the weight of a real server. If the configured weight is another
// weight, it follows after a slash. If the weight in the kernel is unknown, the text is a question
// mark.
func weight(s control.Service, r control.Real) string {
	if s.Trouble != "" {
		return "?"
	}
	if r.Weight != r.Configured {
		return weightText(r.Weight) + "/" + strconv.Itoa(r.Configured)
	}
	return weightText(r.Weight)
}

// weightText returns the text for a weight. A negative weight means that the kernel does not have
// the destination.
func weightText(weight int) string {
	if weight < 0 {
		return "out"
	}
	return strconv.Itoa(weight)
}

// age returns the time between since and now in full seconds. It returns "-" if since is zero.
func age(now, since time.Time) string {
	if since.IsZero() {
		return "-"
	}
	return max(0, now.Sub(since)).Round(time.Second).String()
}

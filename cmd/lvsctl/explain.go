package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"lvs-agents/internal/control"
	"lvs-agents/internal/lvs"
	"lvs-agents/internal/suggest"
)

type explainCommand struct {
	Service string `arg:"" help:"The virtual service, as for drain."`
	Real    string `arg:"" optional:"" help:"The real server: ADDRESS or ADDRESS:PORT. Without it, all real servers are explained, each with its last check."`
	JSON    bool   `help:"Print the explanation as JSON." name:"json"`
}

// Run prints why the real servers of a service have their weights.
func (c explainCommand) Run(ctx context.Context, sys system) error {
	ids, err := control.IDs(sys.stateDir)
	if err != nil {
		return err
	}
	if len(ids) == 0 {
		return noDaemon(ctx, sys)
	}
	var result error
	var found []control.Explanation
	query := func(ctx context.Context, id string) (control.Explanation, error) { return c.query(ctx, sys, id) }
	queryAll(ctx, sys, ids, query, func(e control.Explanation, err error) {
		switch {
		case err != nil:
			failed(sys, err)
			result = errNo
		case len(e.Services) > 0:
			found = append(found, e)
		}
	})
	if len(found) == 0 {
		return c.unknown(ctx, sys, ids, result)
	}
	if c.JSON {
		return errors.Join(writeJSON(sys.stdout, found), result)
	}
	connections := connectionsOf(ctx, sys)
	for _, e := range found {
		for _, s := range e.Services {
			c.write(sys.stdout, e, s, connections)
		}
	}
	return result
}

func (c explainCommand) query(ctx context.Context, sys system, id string) (control.Explanation, error) {
	e, err := control.Explain(ctx, sys.stateDir, id, control.Filter{Service: c.Service, Server: c.Real})
	if err != nil {
		return e, err
	}
	for _, s := range e.Services {
		if len(s.Reals) == 0 && c.Real != "" {
			return e, c.unknownReal(ctx, sys, id, s.ID)
		}
	}
	return e, nil
}

// unknownReal returns the error for a real server that the service does not have.
func (c explainCommand) unknownReal(ctx context.Context, sys system, id, service string) error {
	var names []string
	snapshot, err := snapshotOf(ctx, sys.stateDir, id)
	if err != nil {
		return err
	}
	for _, s := range snapshot.Services {
		for _, real := range s.Reals {
			if s.ID == service {
				names = append(names, real.Addr)
			}
		}
	}
	return fmt.Errorf("service %s has no real server %s%s", service, inert(c.Real), suggest.Hint(c.Real, names))
}

// unknown returns the error for a service that no daemon has. before is an error that the program
// has already printed.
func (c explainCommand) unknown(ctx context.Context, sys system, ids []string, before error) error {
	if before != nil {
		return before
	}
	var names []string
	for _, id := range ids {
		snapshot, err := snapshotOf(ctx, sys.stateDir, id)
		if err != nil {
			return err
		}
		for _, s := range snapshot.Services {
			_, name, _ := strings.Cut(s.ID, " ")
			names = append(names, name)
		}
	}
	return fmt.Errorf("no health daemon on this node has the service %s%s", inert(c.Service), suggest.Hint(c.Service, names))
}

// connection identifies a real server of a service by the texts that a daemon sends.
type connection struct{ service, server string }

// connectionsOf returns the counters of the kernel. It returns nil if the caller cannot read them,
// for example without privileges.
func connectionsOf(ctx context.Context, sys system) map[connection]lvs.Counters {
	counters, _ := countersOf(ctx, sys)
	return counters
}

// countersOf returns the counters of the kernel for each real server.
func countersOf(ctx context.Context, sys system) (map[connection]lvs.Counters, error) {
	all, err := sys.kernel.Counters(ctx)
	if err != nil {
		return nil, err
	}
	counters := make(map[connection]lvs.Counters, len(all))
	for _, c := range all {
		counters[connection{c.Service.String(), c.Server.String()}] = c
	}
	return counters, nil
}

// mostExplained is how many real servers of a service are explained. The rest is counted.
const mostExplained = 20

func (c explainCommand) write(out io.Writer, e control.Explanation, s control.ExplainedService, connections map[connection]lvs.Counters) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	defer func() { _ = w.Flush() }() // an error of the output has no effect on the result
	fmt.Fprintf(w, "%s, %s%s: %d of %d real servers good\n", inert(s.ID), inert(s.Scheduler), persistent(control.Service{Persistence: s.Persistence}), s.Good, s.Servers)
	line(w, "checked by", fmt.Sprintf("directord %s, process %d, %s", e.ID, e.PID, e.Config))
	if s.Record != "" {
		line(w, "record of", fmt.Sprintf("%s (%s)", s.Record, s.RecordPath))
	}
	if s.Holder != "" {
		line(w, "claimed by", "health daemon "+s.Holder)
	}
	heavy := func(r control.ExplainedServer) bool { return max(r.Weight, r.Configured) > 1 }
	if scheduler := lvs.Scheduler(s.Scheduler); scheduler.IgnoresWeights() && slices.ContainsFunc(s.Reals, heavy) {
		line(w, "hint", ignored(scheduler))
	}
	switch {
	case s.Trouble != "":
		line(w, "not balanced", s.Trouble)
	case len(s.Plan) == 0:
		line(w, "would change", "nothing, the kernel has the wanted table")
	}
	for _, op := range s.Plan {
		line(w, "would change", op)
	}
	for i, r := range s.Reals {
		if i == mostExplained {
			fmt.Fprintf(w, "and %d more real servers; lvsctl explain %s REAL explains one of them\n", len(s.Reals)-i, inert(c.Service))
			break
		}
		_ = w.Flush()
		writeServer(w, e.Now, r)
		if n, counted := connections[connection{s.ID, r.Addr}]; counted {
			line(w, "connections", fmt.Sprintf("%d active, %d inactive, %d new per second", n.Active, n.Inactive, n.ConnRate))
		}
		for _, check := range r.Checks {
			writeCheck(w, e.Now, check)
		}
	}
}

// line prints a name and a text. Lines in sequence have their texts in one column.
func line(w io.Writer, name, text string) { fmt.Fprintf(w, "  %s\t%s\n", name, inert(text)) }

func writeServer(w io.Writer, now time.Time, r control.ExplainedServer) {
	fmt.Fprintf(w, "%s: %s", inert(r.Addr), inert(r.Verdict))
	if !r.Since.IsZero() {
		fmt.Fprintf(w, " for %s, since %s", age(now, r.Since), r.Since.Local().Format(time.DateTime))
	}
	fmt.Fprintln(w)
	weights := fmt.Sprintf("wanted %s, configured %d", weightText(r.Weight), r.Configured)
	if r.Kernel != nil {
		weights += ", in the kernel " + weightText(*r.Kernel)
	}
	line(w, "weight", weights)
	line(w, "because", fmt.Sprintf("%s (rule: %s)", r.Because, r.Rule))
}

func writeCheck(w io.Writer, now time.Time, c control.ExplainedCheck) {
	line(w, "check", fmt.Sprintf("%s: %s", c.Kind, c.Query))
	line(w, "expected", c.Expected)
	if c.Next.IsZero() {
		return
	}
	line(w, "schedule", fmt.Sprintf("every %s%s, timeout %s; %s bad, %s good again",
		inSeconds(c.Interval), otherIntervals(c), inSeconds(c.Timeout), times(c.Fall, "failure makes it", "failures make it"), times(c.Rise, "success makes it", "successes make it")))
	inRow := times(c.Successes, "success", "successes")
	if c.Failures > 0 {
		inRow = times(c.Failures, "failure", "failures")
	}
	line(w, "in a row", fmt.Sprintf("%s; next check in %s", inRow, max(0, c.Next.Sub(now)).Round(100*time.Millisecond)))
	for _, last := range c.Last {
		line(w, "at "+last.Time.Local().Format(time.TimeOnly), resultText(last))
		if last.Reply != "" {
			line(w, "  reply", last.Reply)
		}
	}
}

// otherIntervals returns the intervals that differ from the steady one, in brackets.
func otherIntervals(c control.ExplainedCheck) string {
	var all []string
	if c.FastInterval > 0 {
		all = append(all, inSeconds(c.FastInterval)+" while uncertain")
	}
	if c.DownInterval > 0 {
		all = append(all, inSeconds(c.DownInterval)+" while bad")
	}
	if all == nil {
		return ""
	}
	return " (" + strings.Join(all, ", ") + ")"
}

// resultText returns the result and the phases of a check.
func resultText(r control.CheckResult) string {
	var phases []string
	for _, p := range []struct {
		name    string
		seconds float64
	}{{"connect", r.Connect}, {"TLS", r.TLS}, {"first byte", r.FirstByte}, {"match", r.Match}} {
		if p.seconds > 0 {
			phases = append(phases, p.name+" "+inSeconds(p.seconds))
		}
	}
	text := "passed in " + inSeconds(r.Total)
	if r.Reason != "" {
		text = "failed in " + inSeconds(r.Total)
	}
	if len(phases) > 0 {
		text += " (" + strings.Join(phases, ", ") + ")"
	}
	if r.Hint {
		text += ", early because of its connections"
	}
	if r.Reason != "" {
		text += ": " + r.Reason
	}
	return text
}

// inSeconds returns the text for a number of seconds, with three digits.
func inSeconds(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	for _, unit := range []time.Duration{time.Second, time.Millisecond, time.Microsecond} {
		if d >= unit {
			return d.Round(unit / 100).String()
		}
	}
	return d.String()
}

func times(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

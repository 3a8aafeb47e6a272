package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"lvs-agents/agents/vip/note"
	"lvs-agents/internal/control"
)

type statusCommand struct {
	JSON bool `help:"Print the state of the health daemons as JSON." name:"json"`
}

// Run prints the state of all health daemons on this node. As text, it also prints the replies that
// vip resources got from neighbours.
func (c statusCommand) Run(ctx context.Context, sys system) error {
	snapshots := []control.Snapshot{}
	ids, err := control.IDs(sys.stateDir)
	if err != nil {
		return err
	}
	var result error
	for _, id := range ids {
		snapshot, err := snapshotOf(ctx, sys.stateDir, id)
		if err == nil {
			snapshots = append(snapshots, snapshot)
			err = judged(snapshot)
		}
		if err != nil {
			failed(sys, err)
			result = errNo
		}
	}
	proofs, err := note.All(sys.stateDir, note.Proof)
	if err != nil {
		return err
	}
	if c.JSON {
		encoder := json.NewEncoder(sys.stdout)
		encoder.SetIndent("", "  ")
		if err := encoder.Encode(snapshots); err != nil {
			return err
		}
		return result
	}
	if len(ids) == 0 && len(proofs) == 0 {
		return errors.New("no health daemon runs on this node")
	}
	for _, snapshot := range snapshots {
		writeStatus(sys.stdout, snapshot)
	}
	writeProofs(sys.stdout, proofs)
	return result
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
	limited, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return control.Status(limited, dir, id)
}

// writeProofs prints which replies the vip resources of this node got from neighbours at their
// start.
func writeProofs(out io.Writer, proofs map[string]string) {
	for _, id := range slices.Sorted(maps.Keys(proofs)) {
		for line := range strings.Lines(proofs[id]) {
			fmt.Fprintf(out, "%s: vip, at its start: %s", id, line)
		}
	}
}

// writeStatus prints the services of a daemon as ipvsadm -ln does, with the verdict on each real
// server.
func writeStatus(out io.Writer, s control.Snapshot) {
	fmt.Fprintf(out, "%s: directord %s, process %d, %s, running for %s\n", s.ID, s.Version, s.PID, s.Config, age(s.Now, s.Started))
	if s.Trouble != "" {
		fmt.Fprintf(out, "trouble: %s\n", s.Trouble)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "Prot LocalAddress:Port\tScheduler\t\t\t\t")
	fmt.Fprintln(w, "  -> RemoteAddress:Port\tForward\tWeight\tVerdict\tSince\tReason")
	for _, service := range s.Services {
		fmt.Fprintf(w, "%s\t%s%s%s\t\t\t\t\n", localAddress(service.ID), service.Scheduler, persistent(service), unusual(service))
		for _, f := range fallbacks(service) {
			if f.Weight >= 0 {
				fmt.Fprintf(w, "  -> %s\t%s\t%s\tfallback\t\t\n", f.Addr, f.Forward, weight(service, f))
			}
		}
		for _, real := range service.Reals {
			fmt.Fprintf(w, "  -> %s\t%s\t%s\t%s\t%s\t%s\n", real.Addr, real.Forward, weight(service, real), real.Verdict, age(s.Now, real.Since), why(real))
		}
	}
	_ = w.Flush() // an error of the output has no effect on the result
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
	case "", "failed", "unchecked":
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

// weight returns the text for the weight of a real server. If the weight in the kernel can be
// another weight, the text is a question mark.
func weight(s control.Service, r control.Real) string {
	if s.Trouble != "" {
		return "?"
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

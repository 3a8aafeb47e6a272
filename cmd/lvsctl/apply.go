package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"lvs-agents/crm"
	"lvs-agents/crm/cib"
	"lvs-agents/internal/config"
)

// cluster is the running cluster of this node.
type cluster interface {
	Read(context.Context) (*cib.CIB, error)
	Verify(context.Context, *cib.CIB) error
	Simulate(context.Context, *cib.CIB) ([]string, error)
	Write(ctx context.Context, from, to *cib.CIB) error
	Wait(context.Context) error
	Failures(context.Context) (string, error)
	Validate(context.Context, crm.Primitive) error
}

type applyCommand struct {
	setupFlags

	DryRun        bool          `name:"dry-run" help:"Print the changes and the actions of the cluster, and change nothing."`
	Yes           bool          `short:"y" help:"Change the cluster without a question."`
	ConfirmWithin time.Duration `placeholder:"TIME" help:"Put the former configuration back if lvsctl confirm does not come within this time, 2m for example."`
	Wait          time.Duration `placeholder:"TIME" default:"5m" help:"How long to wait until the cluster has run all actions."`
}

// proposal is a change that was not made yet.
type proposal struct {
	from, to *cib.CIB
	part     cib.Part // part is the wanted part of to.
	changes  []string
}

// propose returns the change of a CIB to a part.
func propose(from *cib.CIB, part cib.Part) (proposal, error) {
	to, err := from.With(part)
	if err != nil {
		return proposal{}, err
	}
	return proposal{from, to, part, cib.Changes(from, to, part.IDs)}, nil
}

// Run changes the cluster to the configuration of files.
func (c applyCommand) Run(ctx context.Context, sys system) error {
	_, resources, err := c.resources(ctx, sys)
	if err != nil {
		return err
	}
	if c.ConfirmWithin < 0 {
		return fmt.Errorf("--confirm-within=%s is not a time in the future; write 2m, for example", c.ConfirmWithin)
	}
	if c.DryRun {
		_, err := c.prepare(ctx, sys, resources)
		return err
	}
	last := cib.Last{Dir: sys.dataDir}
	unlock, err := last.Lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if former, err := last.Load(); err == nil && former.Waits() {
		return fmt.Errorf("the change of %s waits for a confirmation until %s; run lvsctl confirm or lvsctl undo first", clock(former.Time), clock(former.Until))
	}
	p, err := c.prepare(ctx, sys, resources)
	if err != nil || len(p.changes) == 0 {
		return err
	}
	if w, waits := p.from.Waits(p.part.Name); waits && w.Until.After(sys.now()) {
		return fmt.Errorf("a change by %s waits for a confirmation until %s; run lvsctl confirm or lvsctl undo on %s first", w.Node, clock(w.Until), w.Node)
	}
	if err := c.agreed(sys); err != nil {
		return err
	}
	if err := c.change(ctx, sys, last, p); err != nil {
		return err
	}
	unlock() // While this command waits for the cluster, lvsctl confirm and undo must work.
	return settled(ctx, sys, c.Wait)
}

// prepare returns the change of the running cluster, and prints it.
func (c applyCommand) prepare(ctx context.Context, sys system, resources crm.Resources) (proposal, error) {
	p, err := setup(ctx, sys, resources)
	if err != nil {
		return proposal{}, err
	}
	if len(p.changes) == 0 {
		fmt.Fprintln(sys.stdout, "no change")
		return p, nil
	}
	for _, line := range p.changes {
		fmt.Fprintln(sys.stdout, line)
	}
	return p, c.examine(ctx, sys, p, resources)
}

// setupFlags is the part of a command line that says which resources the cluster should have.
type setupFlags struct {
	Sources
	Shape
}

// resources returns the configuration of the files, and its resources. It prints the problems.
func (f setupFlags) resources(ctx context.Context, sys system) (*config.Config, crm.Resources, error) {
	cfg, err := f.read(ctx, sys)
	if err != nil {
		return nil, crm.Resources{}, err
	}
	resources, problems := crm.Build(cfg, f.options())
	explain(sys, cfg.Place(problems))
	if config.Err(problems) != nil {
		return nil, resources, errNo
	}
	return cfg, resources, nil
}

// setup returns the change of the running cluster to these resources.
func setup(ctx context.Context, sys system, resources crm.Resources) (proposal, error) {
	from, err := sys.cluster.Read(ctx)
	if err != nil {
		return proposal{}, err
	}
	text, err := resources.CIB("")
	if err != nil {
		return proposal{}, err
	}
	part, err := from.Setup(resources.Setup, text)
	if err != nil {
		return proposal{}, err
	}
	return propose(from, part)
}

// examine prints what the cluster would do. It returns an error if the cluster or an agent refuses
// the change.
func (c applyCommand) examine(ctx context.Context, sys system, p proposal, resources crm.Resources) error {
	if !c.Inline {
		if _, err := os.Stat(c.Config); err != nil {
			return fmt.Errorf("the resources read this file on every director: %w; write it with lvsctl convert --to=ldirectord.cf --output=%s", err, c.Config)
		}
	}
	for _, r := range resources.Primitives {
		if err := sys.cluster.Validate(ctx, r); err != nil {
			return fmt.Errorf("validate-all: %w", err)
		}
	}
	if err := sys.cluster.Verify(ctx, p.to); err != nil {
		// Without fencing, Pacemaker already refuses the present configuration.
		if sys.cluster.Verify(ctx, p.from) == nil {
			return err
		}
		fmt.Fprintf(sys.stderr, "lvsctl: warning: %v\nlvsctl: warning: %s; %s\n", err, noFencing, fixFencing)
	}
	actions, err := sys.cluster.Simulate(ctx, p.to)
	if err != nil {
		return err
	}
	for _, action := range actions {
		fmt.Fprintf(sys.stdout, "the cluster will: %s\n", action)
	}
	if len(actions) == 0 {
		fmt.Fprintln(sys.stdout, "the cluster will start, stop and move nothing")
	}
	return nil
}

// agreed returns nil if the operator agrees.
func (c applyCommand) agreed(sys system) error {
	if c.Yes {
		return nil
	}
	if sys.stdin == nil {
		return errors.New("the standard input is not a terminal; to change the cluster without a question, give --yes")
	}
	fmt.Fprint(sys.stdout, "change the cluster? [y/N] ")
	answer, _ := bufio.NewReader(sys.stdin).ReadString('\n')
	if answer = strings.ToLower(strings.TrimSpace(answer)); answer != "y" && answer != "yes" {
		return errors.New("nothing was changed")
	}
	return nil
}

// change makes the change. The file with the former configuration is on the disk before the cluster
// changes, so that a crash at any moment leaves a way back.
func (c applyCommand) change(ctx context.Context, sys system, last cib.Last, p proposal) error {
	change := cib.Change{Time: sys.now(), Before: p.from.Part(p.part.Name, p.part.IDs)}
	if c.ConfirmWithin > 0 {
		change.Until = change.Time.Add(c.ConfirmWithin)
		p.part.Waits = cib.Waiting{Node: sys.host, Until: change.Until}
		var err error
		if p, err = propose(p.from, p.part); err != nil {
			return err
		}
	}
	change.After = p.part
	former, errFormer := last.Load()
	if err := last.Save(change); err != nil {
		return fmt.Errorf("saving the former configuration: %w", err)
	}
	if c.ConfirmWithin > 0 {
		// The daemon starts before the change, so that no change is without it.
		limited, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		if err := sys.spawn(limited, "undo", "--when-due="+change.Time.Format(time.RFC3339Nano)); err != nil {
			return errors.Join(fmt.Errorf("starting the process that puts the former configuration back: %w", err), restore(last, former, errFormer))
		}
	}
	if err := write(ctx, sys, p); err != nil {
		// After an interruption, the change can be in the cluster. Then the way back stays.
		if now, failed := sys.cluster.Read(ctx); failed == nil && len(cib.Changes(p.from, now, p.part.IDs)) == 0 {
			err = errors.Join(err, restore(last, former, errFormer))
		}
		return err
	}
	if c.ConfirmWithin > 0 {
		fmt.Fprintf(sys.stdout, "without lvsctl confirm on this node before %s, the former configuration comes back\n", clock(change.Until))
	}
	return nil
}

// restore saves the change before, because the present one was not made.
func restore(last cib.Last, former cib.Change, errFormer error) error {
	if errFormer != nil {
		return last.Forget()
	}
	return last.Save(former)
}

// attempts is how often write tries again. The state of the cluster can change between reading and
// writing, for example when a monitor ends.
const attempts = 20

// write changes the cluster as proposed. It refuses to do so if the configuration has changed since
// the operator has seen it.
func write(ctx context.Context, sys system, p proposal) error {
	for n := 0; ; n++ {
		err := sys.cluster.Write(ctx, p.from, p.to)
		if err == nil || n == attempts {
			return err
		}
		from, errRead := sys.cluster.Read(ctx)
		if errRead != nil {
			return errors.Join(err, errRead)
		}
		if now, failed := propose(from, p.part); failed == nil && len(now.changes) == 0 {
			return nil // The cluster has made the change, and its reply was lost.
		}
		if from.Configuration() != p.from.Configuration() {
			return errors.New("another program has changed the configuration of the cluster meanwhile; run the command again")
		}
		if p, err = propose(from, p.part); err != nil {
			return err
		}
	}
}

// settled waits until the cluster has run all actions, and prints the failed ones.
func settled(ctx context.Context, sys system, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if err := sys.cluster.Wait(ctx); err != nil {
		return fmt.Errorf("the configuration is changed, but the cluster has not finished: %w", err)
	}
	failures, err := sys.cluster.Failures(ctx)
	if err != nil {
		return err
	}
	if strings.TrimSpace(failures) != "" {
		fmt.Fprint(sys.stderr, failures)
		return errNo
	}
	fmt.Fprintln(sys.stdout, "done: the cluster has run all actions")
	return nil
}

func clock(t time.Time) string { return t.Local().Format(time.TimeOnly) }

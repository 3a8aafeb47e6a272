package cib

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"lvs-agents/crm"
)

// Cluster is the cluster of this node. It runs the programs of Pacemaker. The zero value is ready
// for use.
type Cluster struct {
	// Agents is the directory of the agents of lvs-agents. Empty means the usual directory.
	Agents string
}

// usualAgents is the directory of the agents on every distribution.
const usualAgents = "/usr/lib/ocf/resource.d/lvs"

// command is a program of Pacemaker, or an agent.
type command struct {
	name  string
	args  []string
	stdin string
	env   []string // env is added to the environment.
}

// The errors of a program.
var (
	ErrNotInstalled = errors.New("the program is not installed")
	ErrNotRunning   = errors.New("Pacemaker does not run, or this user cannot connect to it") //nolint:staticcheck // a name
)

const (
	// patience is how long a program that Output runs can take if the context has no deadline.
	patience = 3 * time.Second
	// exitDisconnect is the exit code of programs that cannot connect to Pacemaker
	// (include/crm/common/results.h).
	exitDisconnect = 102
)

// run runs the program and returns its standard output. If the program fails, it returns the output
// too.
func (c command) run(ctx context.Context) (string, error) {
	cmd := exec.CommandContext(ctx, c.name, c.args...)
	cmd.Env = append(append(cmd.Environ(), "LC_ALL=C"), c.env...)
	cmd.Stdin = strings.NewReader(c.stdin)
	cmd.WaitDelay = time.Second // A child of the program can keep the pipe open.
	var out, problem strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &problem
	err := cmd.Run()
	exit := new(exec.ExitError)
	switch {
	case ctx.Err() != nil:
		return "", fmt.Errorf("%s does not end: %w", c.name, ctx.Err())
	case errors.Is(err, exec.ErrNotFound):
		return "", fmt.Errorf("%s: %w; install pacemaker, and the programs of its command line", c.name, ErrNotInstalled)
	case errors.As(err, &exit) && exit.ExitCode() == exitDisconnect:
		return "", fmt.Errorf("%s: %w", c.name, ErrNotRunning)
	case err != nil:
		return out.String(), fmt.Errorf("%s: %w: %s", c.name, err, reason(problem.String()))
	}
	return out.String(), nil
}

// run runs a program that needs no input.
func run(ctx context.Context, name string, args ...string) (string, error) {
	return command{name: name, args: args}.run(ctx)
}

// Output runs a program that changes nothing, and returns its standard output. The program can run
// until the deadline of ctx, or for 3 seconds if ctx has none. Then the error is
// context.DeadlineExceeded.
func Output(ctx context.Context, name string, args ...string) (string, error) {
	if _, limited := ctx.Deadline(); !limited {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, patience)
		defer cancel()
	}
	return run(ctx, name, args...)
}

// file writes a CIB into a temporary file that only this user can read, and returns its name. The
// caller must remove the directory of the file.
func file(c *CIB) (string, error) {
	dir, err := os.MkdirTemp("", "lvsctl-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "cib.xml")
	return path, os.WriteFile(path, []byte(c.String()), 0o600)
}

// Read returns the CIB of the cluster.
func (Cluster) Read(ctx context.Context) (*CIB, error) {
	text, err := run(ctx, "cibadmin", "--query")
	if err != nil {
		return nil, fmt.Errorf("reading the configuration of the cluster: %w", err)
	}
	return Parse(text)
}

// Verify returns why Pacemaker does not accept a CIB.
func (Cluster) Verify(ctx context.Context, c *CIB) error {
	path, err := file(c)
	defer func() { _ = os.RemoveAll(filepath.Dir(path)) }()
	if err != nil {
		return err
	}
	_, err = run(ctx, "crm_verify", "--verbose", "--verbose", "--xml-file", path)
	return err
}

// Simulate returns the actions that the cluster would run with a CIB, one line for each.
func (Cluster) Simulate(ctx context.Context, c *CIB) ([]string, error) {
	path, err := file(c)
	defer func() { _ = os.RemoveAll(filepath.Dir(path)) }()
	if err != nil {
		return nil, err
	}
	text, err := run(ctx, "crm_simulate", "--run", "--xml-file", path)
	if err != nil {
		return nil, err
	}
	return transition(text), nil
}

// transition returns the lines of the transition summary in the output of crm_simulate.
func transition(text string) []string {
	var lines []string
	_, summary, _ := strings.Cut(text, "Transition Summary:\n")
	for line := range strings.Lines(summary) {
		action, found := strings.CutPrefix(strings.TrimSpace(line), "* ")
		if !found {
			break
		}
		lines = append(lines, strings.Join(strings.Fields(action), " "))
	}
	return lines
}

// Write changes the CIB of the cluster from one to the other, in one step. If another program has
// changed the CIB since from was read, Pacemaker refuses the change.
func (Cluster) Write(ctx context.Context, from, to *CIB) error {
	before, err := file(from)
	defer func() { _ = os.RemoveAll(filepath.Dir(before)) }()
	if err != nil {
		return err
	}
	after, err := file(to)
	defer func() { _ = os.RemoveAll(filepath.Dir(after)) }()
	if err != nil {
		return err
	}
	// With differences, crm_diff exits with 1 and prints them.
	patch, err := run(ctx, "crm_diff", "--original", before, "--new", after)
	if exit := new(exec.ExitError); err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1) {
		return err
	}
	_, err = command{name: "cibadmin", args: []string{"--patch", "--xml-pipe"}, stdin: patch}.run(ctx)
	return err
}

// Wait waits until the cluster has run all actions.
func (Cluster) Wait(ctx context.Context) error {
	_, err := run(ctx, "crm_resource", "--wait")
	return err
}

// Failures returns the failed actions of the cluster as crm_mon prints them. It is empty without
// failed actions.
func (Cluster) Failures(ctx context.Context) (string, error) {
	const title = "Failed Resource Actions:"
	text, err := run(ctx, "crm_mon", "--one-shot", "--exclude=all", "--include=failures")
	_, failed, found := strings.Cut(text, title)
	if !found {
		return "", err
	}
	return title + failed, err
}

// Validate runs the action validate-all of the agent of a resource on this node. It returns nil for
// agents of other projects.
func (c Cluster) Validate(ctx context.Context, p crm.Primitive) error {
	name, ours := strings.CutPrefix(p.Agent, "ocf:lvs:")
	if !ours {
		return nil
	}
	dir := c.Agents
	if dir == "" {
		dir = usualAgents
	}
	env := []string{"OCF_ROOT=/usr/lib/ocf", "OCF_RESOURCE_INSTANCE=" + p.ID}
	for _, pair := range p.Params {
		env = append(env, "OCF_RESKEY_"+pair.Name+"="+pair.Value)
	}
	if _, err := (command{name: filepath.Join(dir, name), args: []string{"validate-all"}, env: env}).run(ctx); err != nil {
		return fmt.Errorf("%s (%s): %w", p.ID, p.Agent, err)
	}
	return nil
}

// reason returns the exit reason of an agent, or its whole output.
func reason(text string) string {
	if _, reason, found := strings.Cut(text, "ocf-exit-reason:"); found {
		reason, _, _ = strings.Cut(reason, "\n")
		return reason
	}
	return strings.Join(strings.Fields(text), " ")
}

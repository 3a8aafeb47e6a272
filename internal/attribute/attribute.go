// Package attribute reads and writes the node attributes of a Pacemaker cluster. It runs
// attrd_updater(8), the program of Pacemaker for them. Pacemaker removes the attributes of a node
// that leaves the cluster.
package attribute

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"lvs-agents/internal/program"
)

// ErrNoCluster is the error on a host where attrd_updater is not installed or Pacemaker does not
// run.
var ErrNoCluster = errors.New("Pacemaker does not run on this host") //nolint:staticcheck // a name

// HashTables returns the name of the private attribute with the hash tables of a director. health
// is the name of the attribute that the health daemon publishes.
func HashTables(health string) string { return health + "-tables" }

// Setup returns the name of the private attribute with the version of a health daemon and the
// digest of its configuration file. health is as for HashTables.
func Setup(health string) string { return health + "-setup" }

// Unpublish removes attributes of this node. It calls warn for each attribute that it could not
// remove: a failure must not fail the stop of a resource. Outside of a cluster, Unpublish does not
// call warn.
func Unpublish(ctx context.Context, n interface {
	Remove(ctx context.Context, name string) error
}, warn func(format string, args ...any), names ...string,
) {
	for _, name := range names {
		err := n.Remove(ctx, name)
		if errors.Is(err, ErrNoCluster) {
			return
		}
		if err != nil {
			warn("removing the node attribute %s: %v; remove it: attrd_updater -D -n %[1]s", name, err)
		}
	}
}

const (
	// timeout is how long one run of attrd_updater can take.
	timeout = 5 * time.Second
	// cibTimeout is how long one run of the other programs can take. On a busy cluster, a change of
	// the CIB waits for other changes.
	cibTimeout = 20 * time.Second
)

// Exit codes of the programs of Pacemaker (include/crm/common/results.h).
const (
	exitDisconnect = 102 // exitDisconnect: Pacemaker's daemon pacemaker-attrd does not run.
	exitNoSuch     = 105 // exitNoSuch: the node attribute does not exist.
)

// noSuch is the end of the error message for an attribute that does not exist. Pacemaker 2.1.5
// exits with another code than exitNoSuch.
const noSuch = ": attribute does not exist"

// updater is the name of the program for attributes that Pacemaker does not keep.
const updater = "attrd_updater"

// usual is the path of attrd_updater if Node.Program is empty.
const usual = "/usr/sbin/" + updater

// Node is the node of the cluster that this host is. The zero value is ready for use.
type Node struct {
	// Program is the path of attrd_updater. If it is empty, the path is /usr/sbin/attrd_updater. The
	// other programs of Pacemaker must be in the same directory.
	Program string
	// Programs runs attrd_updater. It can be nil.
	Programs *program.Set
}

// Set sets an attribute of this node. Rules of constraints see the value after Pacemaker has
// written it into the CIB: when dampen has passed without another change of the attribute on any
// node. If dampen is 0, Pacemaker writes the value at once.
func (n Node) Set(ctx context.Context, name, value string, dampen time.Duration) error {
	delay := fmt.Sprintf("%dms", dampen.Milliseconds())
	_, err := n.run(ctx, updater, "-n", name, "-B", value, "-d", delay)
	return err
}

// SetPrivate sets an attribute of this node that Pacemaker keeps in the memory of pacemaker-attrd.
// All nodes can read it with All, and the rules of constraints cannot.
func (n Node) SetPrivate(ctx context.Context, name, value string) error {
	_, err := n.run(ctx, updater, "-n", name, "-U", value, "-p")
	return err
}

// Remove removes an attribute of this node. An attribute that does not exist is not an error.
func (n Node) Remove(ctx context.Context, name string) error {
	_, err := n.run(ctx, updater, "-n", name, "-D")
	return err
}

// Get returns the value of an attribute of this node, or an empty text if the node has none.
func (n Node) Get(ctx context.Context, name string) (string, error) {
	out, err := n.run(ctx, updater, "-n", name, "-Q")
	for _, value := range parse(out) {
		return value, err
	}
	return "", err
}

// All returns the values that an attribute has, by the names of the nodes.
func (n Node) All(ctx context.Context, name string) (map[string]string, error) {
	out, err := n.run(ctx, updater, "-n", name, "-Q", "-A")
	return parse(out), err
}

// parse returns the values in the output of a query, by the names of the nodes. Pacemaker 1.1 to
// 3.0 print one line for each node. A removed attribute has an empty value, so parse leaves it out.
func parse(out string) map[string]string {
	values := map[string]string{}
	for line := range strings.Lines(out) {
		var name, node, value string
		_, err := fmt.Sscanf(line, "name=%q host=%q value=%q", &name, &node, &value)
		if err == nil && value != "" {
			values[node] = value
		}
	}
	return values
}

// run runs a program of Pacemaker and returns its output. The output is empty if the attribute does
// not exist.
func (n Node) run(ctx context.Context, name string, args ...string) (string, error) {
	limit := timeout
	if name != updater {
		limit = cibTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	argv := append([]string{filepath.Join(filepath.Dir(cmp.Or(n.Program, usual)), name)}, args...)
	var out, problem bytes.Buffer
	cmd, err := n.Programs.Run(ctx, program.Command{Argv: argv, Stdout: &out, Stderr: &problem})
	text := strings.Join(strings.Fields(problem.String()), " ")
	switch {
	case err == nil:
		return out.String(), nil
	case ctx.Err() != nil:
		err = ctx.Err()
	case cmd.ProcessState.ExitCode() == exitNoSuch, strings.HasSuffix(text, noSuch):
		return "", nil
	case cmd.ProcessState.ExitCode() == exitDisconnect, errors.Is(err, fs.ErrNotExist):
		err = ErrNoCluster
	case text != "":
		err = errors.New(text)
	}
	return "", fmt.Errorf("%s: %w", strings.Join(argv, " "), err)
}

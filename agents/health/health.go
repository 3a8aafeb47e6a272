// Package health is the resource agent for the health daemon directord. The resource is running
// while the daemon runs, makes its checks and keeps the IPVS table as its verdicts require. Bad
// real servers never make the resource fail.
package health

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"lvs-agents/internal/attribute"
	"lvs-agents/internal/config"
	"lvs-agents/internal/config/load"
	"lvs-agents/internal/config/params"
	"lvs-agents/internal/control"
	"lvs-agents/internal/disk"
	"lvs-agents/internal/state/pidfile"
	"lvs-agents/internal/state/record"
	"lvs-agents/ocf"
)

// Launcher starts directord as a daemon. Its method Launch returns nil when the daemon is ready, or
// the reason why the daemon could not start.
type Launcher interface {
	Launch(ctx context.Context, args []string) error
}

// NodeAttributes removes attributes of this node of a cluster.
type NodeAttributes interface {
	Remove(ctx context.Context, name string) error
}

// Agent is one resource. Its parameters are the exported fields and the checks.
type Agent struct {
	Config    string
	IPVS      string
	Attribute string
	Quiescent bool

	checks     []check
	kernel     record.Kernel
	launcher   Launcher
	attributes NodeAttributes
	daemons    control.Daemons
	configDirs []string
}

var (
	_ ocf.Agent     = (*Agent)(nil)
	_ ocf.Validator = (*Agent)(nil)
)

// New returns an agent with the default values of its parameters.
func New(k record.Kernel, l Launcher, n NodeAttributes) *Agent {
	a := &Agent{Quiescent: true, kernel: k, launcher: l, attributes: n, daemons: control.Sockets{}, configDirs: load.Dirs()}
	defaults := params.Checks{"checktype": string(config.Connect), "checkinterval": "2", "checktimeout": "3"}
	for _, d := range params.Directives() {
		a.checks = append(a.checks, check{d, defaults[d.Name]})
	}
	return a
}

// Through makes the agent use another connection to the daemon than the daemon's socket.
func (a *Agent) Through(d control.Daemons) { a.daemons = d }

// Start starts the daemon unless a working daemon runs. It then waits until every real server has a
// verdict and the node attribute is published. It waits at most until half of the action's time has
// passed.
func (a *Agent) Start(ctx context.Context, c ocf.Call) error {
	if err := a.Validate(ctx, c, 0); err != nil {
		return err
	}
	if _, err := a.kernel.Table(ctx); err != nil {
		return err
	}
	waited, cancel := halfOf(ctx)
	defer cancel()
	if err := a.launch(ctx, c); err != nil {
		return fmt.Errorf("starting directord: %w", err)
	}
	a.awaitVerdicts(waited, c)
	return nil
}

// launch starts the daemon unless a working daemon runs already: another start action can have
// started one meanwhile. launch first ends a daemon that runs but does not work.
func (a *Agent) launch(ctx context.Context, c ocf.Call) error {
	end, err := pidfile.Turn(ctx, pidFile(c))
	if err != nil {
		return err
	}
	defer end()
	status, err := a.Monitor(ctx, c)
	if err != nil || status.State == ocf.Running {
		return err
	}
	if status.State == ocf.Failed {
		half, cancel := halfOf(ctx)
		defer cancel()
		if err := pidfile.Stop(half, pidFile(c)); err != nil {
			return err
		}
	}
	return a.launcher.Launch(ctx, a.args(ctx, c))
}

func halfOf(ctx context.Context) (context.Context, context.CancelFunc) {
	until, limited := ctx.Deadline()
	if !limited {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, time.Until(until)/2)
}

// awaitVerdicts returns when every real server has a verdict and the daemon has tried to publish
// its node attribute. If ctx ends earlier, awaitVerdicts only logs a warning.
func (a *Agent) awaitVerdicts(ctx context.Context, c ocf.Call) {
	// The reply of a daemon with thousands of real servers takes CPU time. So the time between two
	// polls grows with the number of real servers without a verdict.
	const poll, each = 50 * time.Millisecond, 100 * time.Microsecond
	unknown := 0
	for {
		snapshot, err := a.daemons.Status(ctx, c.StateDir, c.Instance)
		if err == nil {
			unknown = snapshot.Unknown()
		}
		if err == nil && unknown == 0 && !snapshot.Attribute.Pending() {
			return
		}
		again := time.NewTimer(poll + time.Duration(unknown)*each)
		select {
		case <-again.C:
		case <-ctx.Done():
			again.Stop()
			if unknown == 0 {
				if err == nil {
					err = errUnpublished
				}
				// err is nil if the last reply had no published attribute. Otherwise the last
				// request failed.
				c.Log.Warn(err)
				return
			}
			c.Log.Warnf("%d real servers have no verdict yet; a server without a weight in the kernel gets no connections until it passes a check", unknown)
			return
		}
	}
}

var errUnpublished = errors.New("the daemon has not published its node attribute yet; the cluster gets it later")

// args returns the arguments of the daemon.
func (a *Agent) args(ctx context.Context, c ocf.Call) []string {
	args := []string{control.ServeVerb, "--notify", "--state-dir=" + c.StateDir, "--id=" + c.Instance}
	if name := a.attribute(c); name != "" {
		args = append(args, "--attribute="+name)
	}
	if a.Config != "" {
		path, _, err := load.Read(ctx, &disk.Reader{}, a.Config, a.configDirs...)
		if err != nil { // The daemon itself reads the file later, and reports this error.
			path = a.Config
		}
		return append(args, "--config="+path)
	}
	args = append(args, "--ipvs="+a.IPVS)
	given := a.given()
	for _, name := range slices.Sorted(maps.Keys(given)) {
		args = append(args, "--check="+name+"="+given[name])
	}
	return args
}

// Stop ends the daemon and removes the node attributes and the daemon's own services. A service of
// an ipvs resource stays as it is if at least one of its real servers gets connections. Otherwise
// Stop gives its real servers the weights from the record of the ipvs resource.
func (a *Agent) Stop(ctx context.Context, c ocf.Call) error {
	if err := pidfile.Stop(ctx, pidFile(c)); err != nil {
		return fmt.Errorf("stopping directord: %w", err)
	}
	err := a.release(ctx, c)
	a.unpublish(ctx, c)
	return err
}

// release removes the daemon's own services, and ends its claims on the services that no real
// server serves.
func (a *Agent) release(ctx context.Context, c ocf.Call) error {
	store, err := record.In(c.StateDir)
	if err != nil {
		return err
	}
	ops, err := store.Release(ctx, a.kernel, c.Instance)
	for _, op := range ops {
		c.Log.Info(op)
	}
	if errors.Is(err, record.ErrClaimStays) {
		c.Log.Warnf("the daemon has ended, but %v; a monitor of that resource ends the claim after %v, or the next health daemon takes it over", err, control.Memory)
		return nil
	}
	return err
}

// unpublishLimit is how long a stop waits for Pacemaker.
const unpublishLimit = 2 * time.Second

// unpublish removes the node attributes. The cluster sees the removal after the dampen time, so a
// restart of the resource that takes less time does not change the share.
func (a *Agent) unpublish(ctx context.Context, c ocf.Call) {
	name := a.attribute(c)
	if name == "" {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, unpublishLimit)
	defer cancel()
	attribute.Unpublish(ctx, a.attributes, c.Log.Warnf, name, attribute.HashTables(name), attribute.Setup(name))
}

// attribute returns the name of the node attribute, or an empty text for none. All instances of a
// clone have the same name.
func (a *Agent) attribute(c ocf.Call) string {
	if a.Attribute == noAttribute {
		return ""
	}
	return cmp.Or(a.Attribute, "lvs-health-"+c.Resource())
}

// Monitor queries the daemon for the time since its loops last ran, because a daemon that hangs can
// still accept connections.
func (a *Agent) Monitor(ctx context.Context, c ocf.Call) (ocf.Status, error) {
	s, err := pidfile.StatusOf(pidFile(c))
	switch {
	case err != nil:
		return ocf.Status{}, err
	case !s.Running && s.PID != 0:
		return ocf.Status{State: ocf.Stopped, Reason: fmt.Sprintf("directord (process %d) has died", s.PID)}, nil
	case !s.Running:
		return ocf.Status{State: ocf.Stopped}, nil
	}
	if err := a.alive(ctx, c, s.PID); err != nil {
		return ocf.Status{State: ocf.Failed, Reason: err.Error()}, nil
	}
	return ocf.Status{State: ocf.Running}, nil
}

// statusTimeout is the longest time that Monitor waits for the reply of a daemon. Monitor waits
// less if statusTimeout is more than half of the action's time. After the wait, Monitor uses the
// age of the verdict file instead.
const statusTimeout = 2 * time.Second

// alive returns an error if the daemon does not work (see control.Snapshot.Alive). If the daemon
// does not reply in time, alive judges the daemon by its verdict file. Every other failure of the
// query is an error, too.
func (a *Agent) alive(ctx context.Context, c ocf.Call, pid int) error {
	half, cancel := halfOf(ctx)
	defer cancel()
	limited, cancel := context.WithTimeout(half, statusTimeout)
	defer cancel()
	snapshot, err := a.daemons.Status(limited, c.StateDir, c.Instance)
	switch {
	case err == nil:
		err = snapshot.Alive()
	case limited.Err() != nil:
		c.Log.Warn(err)
		err = control.Pulse(c.StateDir, c.Instance, pid)
	}
	if err == nil && snapshot.Trouble != "" {
		c.Log.Warn(snapshot.Trouble)
	}
	return err
}

func pidFile(c ocf.Call) string { return control.PIDFile(c.StateDir, c.Instance) }

// Package health is the resource agent for the health daemon directord. Running
// means that the daemon lives and looks at its checks and at the IPVS table; what
// it finds out about real servers never makes the resource fail.
package health

import (
	"context"
	"errors"
	"fmt"
	"time"

	"lvs-agents/internal/config"
	"lvs-agents/internal/control"
	"lvs-agents/internal/daemon"
	"lvs-agents/internal/record"
	"lvs-agents/metadata"
	"lvs-agents/ocf"
)

// Launcher starts directord as a daemon and returns when it is ready.
type Launcher interface {
	Launch(ctx context.Context, args []string) error
}

// Agent is one resource. The exported fields are its parameters.
type Agent struct {
	Config      string
	IPVS        string
	CheckType   config.CheckType
	Service     config.Application
	Request     string
	Receive     string
	VirtualHost string
	CheckPort   int
	Interval    int // seconds
	Timeout     int // seconds
	Fallback    string
	Quiescent   bool

	kernel     record.Kernel
	launcher   Launcher
	configDirs []string
}

var (
	_ ocf.Agent     = (*Agent)(nil)
	_ ocf.Validator = (*Agent)(nil)
)

// New makes an agent with its defaults.
func New(k record.Kernel, l Launcher) *Agent {
	return &Agent{
		CheckType: config.Connect, Interval: 2, Timeout: 3, Quiescent: true,
		kernel: k, launcher: l, configDirs: config.Dirs(),
	}
}

// Metadata declares the agent.
func (a *Agent) Metadata() metadata.Agent {
	return metadata.Agent{
		Name:  "health",
		Short: "Health daemon for the real servers of an LVS director",
		Long: `Runs directord, which checks real servers and lets only good ones have new connections: a real server that fails its check gets weight 0 or is removed, and when none is left the fallback serves.

The virtual services are those of a configuration file in ldirectord's syntax (config), or those of a resource of type ipvs on the same node (ipvs), with the checks in the parameters of this resource.

No state of real servers makes this resource fail; lvsctl status shows it. When the daemon dies or hangs the table stays as it is, and the daemon that the cluster starts next takes it over as it is. Stopping this resource leaves real servers as they are if an ipvs resource has the virtual services; otherwise the services are removed.

Start this resource after ipvs.`,
		Params:    a.params(),
		Arguments: []string{"config"},
		Actions: []metadata.Action{
			{Name: "start", Timeout: 20 * time.Second},
			{Name: "stop", Timeout: 20 * time.Second},
			{Name: "monitor", Timeout: 20 * time.Second, Interval: 10 * time.Second},
			{Name: "validate-all", Timeout: 10 * time.Second},
			{Name: "meta-data", Timeout: 5 * time.Second},
		},
		Examples: []metadata.Example{
			{Title: "Checks from a file that every director has", ID: "web-health", Params: [][2]string{{"config", "/etc/ha.d/ldirectord.cf"}}},
			{Title: "Checks for the services of a resource, carried by the cluster's configuration", ID: "web-health", Params: [][2]string{
				{"ipvs", "web-ipvs"}, {"checktype", "negotiate"}, {"service", "http"}, {"request", "/.health.html"}, {"receive", "OK"}, {"fallback", "127.0.0.1 gate"},
			}},
		},
	}
}

const day = 24 * 60 * 60

func (a *Agent) params() []metadata.Param {
	return []metadata.Param{
		{Name: "config", Value: metadata.String(&a.Config), Short: "Configuration file",
			Long: "A file in the syntax of ldirectord.cf with the virtual services and their checks; give an ipvs resource the same file. A relative name is looked up in /etc/ha.d. Every director needs the same file. Not together with ipvs; one of the two is needed."},
		{Name: "ipvs", Value: metadata.String(&a.IPVS), Short: "Resource with the virtual services",
			Long: "The id of a resource of type ipvs that runs on the same node. All its real servers get the check that the other parameters describe. Not together with config."},
		{Name: "checktype", Value: metadata.Select(&a.CheckType, "connect", "negotiate", "ping", "on", "off"), Short: "Manner of the check",
			Long: "connect opens a TCP connection, negotiate asks for a page and reads it, ping sends an ICMP echo, on and off do not check. Only with ipvs."},
		{Name: "service", Value: metadata.Select(&a.Service, "http"), Short: "Application that is asked",
			Long: "What a negotiate check talks. When unset it follows from the port of the virtual service. Only with ipvs."},
		{Name: "request", Value: metadata.String(&a.Request), Short: "Page that is asked for",
			Long: "The path of a page on every real server, / when unset. Only with ipvs."},
		{Name: "receive", Value: metadata.String(&a.Receive), Short: "Expected answer",
			Long: "A regular expression that the page must match; when unset, a status of 2xx is enough. Only with ipvs."},
		{Name: "virtualhost", Value: metadata.String(&a.VirtualHost), Short: "Host header",
			Long: "The name that a negotiate check asks for; the address of the real server when unset. Only with ipvs."},
		{Name: "checkport", Value: metadata.Integer(&a.CheckPort, 0, 65535), Short: "Port that is checked",
			Long: "0 is the port of the real server. Needed for firewall marks without a port. Only with ipvs."},
		{Name: "checkinterval", Value: metadata.Integer(&a.Interval, 1, day), Short: "Seconds between checks",
			Long: "How often each real server is checked, in seconds. Only with ipvs."},
		{Name: "checktimeout", Value: metadata.Integer(&a.Timeout, 1, day), Short: "Time limit of a check in seconds",
			Long: "A real server that has not answered by then has failed. Only with ipvs."},
		{Name: "fallback", Value: metadata.String(&a.Fallback), Short: "Server of last resort",
			Long: "address[:port] [method] of the server that serves while no real server does; the method is gate, masq or ipip. None when unset. Only with ipvs."},
		{Name: "quiescent", Value: metadata.Boolean(&a.Quiescent), Short: "Whether failed real servers stay with weight 0",
			Long: "true lets connections to a failed real server go on and only gives it no new ones; false removes it. Only with ipvs."},
	}
}

// Start starts the daemon and waits until it has a verdict on every real
// server, or until half of the time is over.
func (a *Agent) Start(ctx context.Context, c ocf.Call) error {
	if err := a.Validate(ctx, c, 0); err != nil {
		return err
	}
	if _, err := a.kernel.Table(ctx); err != nil {
		return err
	}
	status, err := a.Monitor(ctx, c)
	if err != nil || status.State == ocf.Running {
		return err
	}
	waited, cancel := halfOf(ctx)
	defer cancel()
	if status.State == ocf.Failed {
		if err := daemon.Stop(waited, pidFile(c)); err != nil {
			return err
		}
	}
	if err := a.launcher.Launch(ctx, a.args(c)); err != nil {
		return fmt.Errorf("starting directord: %w", err)
	}
	a.awaitVerdicts(waited, c)
	return nil
}

func halfOf(ctx context.Context) (context.Context, context.CancelFunc) {
	until, limited := ctx.Deadline()
	if !limited {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, time.Until(until)/2)
}

// awaitVerdicts returns when there is nothing to wait for any more: servers
// without a verdict are not an error.
func (a *Agent) awaitVerdicts(ctx context.Context, c ocf.Call) {
	const poll = 50 * time.Millisecond
	ticker := time.NewTicker(poll)
	defer ticker.Stop()
	unknown := 0
	for {
		snapshot, err := control.Status(ctx, c.StateDir, c.Instance)
		if err == nil {
			unknown = snapshot.Unknown()
		}
		if err == nil && unknown == 0 {
			return
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			if unknown == 0 {
				c.Log.Warn(err) // it has not answered once
				return
			}
			c.Log.Warnf("%d real servers have no verdict yet; they get no new connections until they pass a check", unknown)
			return
		}
	}
}

// args is the command line of the daemon, after its name.
func (a *Agent) args(c ocf.Call) []string {
	args := []string{control.ServeVerb, "--notify", "--state-dir=" + c.StateDir, "--id=" + c.Instance}
	if a.Config != "" {
		path, _, _ := config.Read(a.Config, a.configDirs...) // Validate has read it
		return append(args, "--config="+path)
	}
	return append(args, "--ipvs="+a.IPVS,
		"--checktype="+string(a.CheckType), "--service="+string(a.Service), "--request="+a.Request, "--receive="+a.Receive,
		"--virtualhost="+a.VirtualHost, fmt.Sprintf("--checkport=%d", a.CheckPort), fmt.Sprintf("--checkinterval=%d", a.Interval),
		fmt.Sprintf("--checktimeout=%d", a.Timeout), "--fallback="+a.Fallback, fmt.Sprintf("--quiescent=%t", a.Quiescent))
}

// Stop ends the daemon and gives up its claims. Real servers stay as they are.
func (a *Agent) Stop(ctx context.Context, c ocf.Call) error {
	if err := daemon.Stop(ctx, pidFile(c)); err != nil {
		return fmt.Errorf("stopping directord: %w", err)
	}
	store, err := record.In(c.StateDir)
	if err != nil {
		return err
	}
	ops, err := store.Release(ctx, a.kernel, c.Instance)
	for _, op := range ops {
		c.Log.Info(op)
	}
	if errors.Is(err, record.ErrClaimStays) {
		c.Log.Warnf("the daemon has ended, but %v; the next start of %s takes it over", err, c.Instance)
		return nil
	}
	return err
}

// Monitor asks the daemon how long ago its loops turned: one that hangs may
// still have its socket.
func (a *Agent) Monitor(ctx context.Context, c ocf.Call) (ocf.Status, error) {
	s, err := daemon.Look(pidFile(c))
	switch {
	case err != nil:
		return ocf.Status{}, err
	case !s.Running && s.PID != 0:
		return ocf.Status{State: ocf.Stopped, Reason: fmt.Sprintf("directord (process %d) has died", s.PID)}, nil
	case !s.Running:
		return ocf.Status{State: ocf.Stopped}, nil
	}
	if err := alive(ctx, c, s.PID); err != nil {
		return ocf.Status{State: ocf.Failed, Reason: err.Error()}, nil
	}
	return ocf.Status{State: ocf.Running}, nil
}

// patience is how long a daemon may take for an answer; its beat decides then.
const patience = 2 * time.Second

// alive is an error for a daemon whose loops do not turn.
func alive(ctx context.Context, c ocf.Call, pid int) error {
	half, cancel := halfOf(ctx)
	defer cancel()
	asked, cancel := context.WithTimeout(half, patience)
	defer cancel()
	snapshot, err := control.Status(asked, c.StateDir, c.Instance)
	switch {
	case err == nil:
		err = snapshot.Alive()
	case asked.Err() != nil:
		c.Log.Warn(err)
		err = control.Pulse(c.StateDir, c.Instance, pid)
	}
	if err == nil && snapshot.Trouble != "" {
		c.Log.Warn(snapshot.Trouble)
	}
	return err
}

func pidFile(c ocf.Call) string { return control.PIDFile(c.StateDir, c.Instance) }

package directord

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/sirupsen/logrus"

	"lvs-agents/internal/alert"
	"lvs-agents/internal/attribute"
	"lvs-agents/internal/check"
	"lvs-agents/internal/check/epoll"
	"lvs-agents/internal/config"
	"lvs-agents/internal/control"
	"lvs-agents/internal/directord/compat"
	"lvs-agents/internal/disk"
	"lvs-agents/internal/health"
	"lvs-agents/internal/lvs"
	"lvs-agents/internal/process"
	"lvs-agents/internal/program"
	"lvs-agents/internal/state"
	"lvs-agents/internal/state/pidfile"
	"lvs-agents/internal/state/record"
)

// server is the daemon. It connects the engine of package health with files, signals, mail and
// programs.
type server struct {
	options
	sys         System
	lines       *compat.Log
	log         *logrus.Logger // log is the logger of the daemon. It writes to lines.
	source      *source
	programs    *programs
	mail        *mailer
	notifier    *notifier
	stopAlerts  func() // stopAlerts ends the goroutines that send mail and posts.
	monitorfile *monitorfile
	publisher   *publisher
	follower    *follower
	addresses   *addresses
	systemd     systemd
	feed        control.Feed // feed has the events for the clients of the control socket.
	kept        *control.Keeper
	keepFailed  atomic.Bool // keepFailed says that the last event could not be kept.
	// others reads the configurations that execute= names. The daemon's own configuration has a
	// separate reader, in source. So a file system that hangs under the other configurations does
	// not delay the daemon's own configuration.
	others disk.Reader
	// holds reports whether the daemon still has its pid file. saveVerdicts calls it every second.
	holds func() (ours bool)
	// verdictsError is the text of the last error of saveVerdicts. It is empty after a success.
	verdictsError string
}

// serve runs the daemon and returns its exit code.
func serve(ctx context.Context, args []string, sys System) int {
	// A SIGHUP before the call of watch would end the daemon, so the signal is caught here.
	// signal.Notify does not change how programs of the daemon handle the signal. signal.Ignore
	// would change this.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	o, err := parseOptions(args, sys.StateDir)
	if err != nil {
		fmt.Fprintf(sys.Stderr, "directord: %v\n", err)
		return compat.ExitUsage
	}
	s := newServer(o, sys)
	err = s.run(ctx)
	switch {
	case err == nil:
		return compat.ExitOK
	case s.notify:
		// After the daemon is ready, Fail has no effect: the program that waited for the daemon has
		// exited.
		process.Fail(err)
	}
	s.log.Errorf("directord ends: %v", err)
	fmt.Fprintf(sys.Stderr, "directord: %v\n", err)
	return compat.ExitFailed
}

func newServer(o options, sys System) *server {
	lines := compat.NewLog(cmp.Or(o.instance, o.id), sys.Stderr)
	if !o.purge {
		lines.WithReasons()
	}
	if o.debug {
		lines.Foreground(sys.Stderr, false)
	}
	log := lines.Logger(o.debug)
	return &server{
		options: o, sys: sys, lines: lines, log: log, systemd: systemd{log},
		source: &source{
			options: o, log: log, lines: lines, names: config.NewNames(sys.Resolver),
			// This Reader reads without a helper process, because a process for each read would cost too
			// much.
			files: new(disk.Reader),
		},
		mail: newMailer(sys, log), monitorfile: newMonitorfile(log), kept: control.NewKeeper(o.stateDir, o.id),
	}
}

func (s *server) run(ctx context.Context) (err error) {
	identity, err := pidfile.Acquire(control.PIDFile(s.stateDir, s.id))
	if err != nil {
		return fmt.Errorf("directord %s: %w", s.id, err)
	}
	defer func() { err = errors.Join(err, identity.Release()) }()
	if s.notify && !process.Awaited() {
		return errors.New("the process that started the daemon has exited")
	}
	if s.source.store, err = record.In(s.stateDir); err != nil {
		return err
	}
	if err := s.source.names.Restore(s.stateDir); err != nil {
		s.log.Warn(err)
	}
	listener, err := control.Listen(s.stateDir, s.id)
	if err != nil {
		return err
	}
	ctx, leave := context.WithCancelCause(ctx)
	defer leave(nil)
	s.holds = func() (ours bool) {
		if ours = identity.Held(); !ours && ctx.Err() == nil {
			listener.SetUnlinkOnClose(false) // By now, the socket of another daemon can have this path, so Close must not remove it.
			leave(errLost)
		}
		return ours
	}
	if s.pidFile != "" && !s.debug {
		if err := os.WriteFile(s.pidFile, fmt.Appendf(nil, "%d\n", os.Getpid()), 0o644); err != nil {
			return err
		}
		defer func() {
			if identity.Held() { // If this process does not hold the lock any more, the pid file can belong to another daemon.
				_ = os.Remove(s.pidFile)
			}
		}()
	}
	return s.check(ctx, listener)
}

// check opens the sockets and other resources that checks need, and runs the daemon with them.
func (s *server) check(ctx context.Context, listener *net.UnixListener) error {
	sources := check.NewSources()
	pinger := check.NewPinger(sources, uint16(os.Getpid()))
	defer pinger.Close()
	dialer, err := epoll.Open()
	if err != nil {
		return err
	}
	defer dialer.Close()
	started, err := program.New(s.sys.Environ, program.Limit())
	if err != nil {
		return err
	}
	s.programs = newPrograms(s.log, s.sys.Environ, started)
	s.mail.sender.Programs = started
	s.notifier = &notifier{programs: s.programs, webhook: alert.NewWebhook(s.log), id: s.id, host: s.mail.host, webhooks: func() []string { return webhooksOf(s.source.current()) }}
	s.follower = &follower{log: s.log}
	s.addresses = &addresses{occurred: s.occurred, has: hostAddresses, place: placeOf}
	if s.attribute != "" {
		s.follower.node = attribute.Node{Programs: started}
	}
	d := s.engine(health.Tools{
		Source: sources, Pinger: pinger, Dialer: dialer, Oracle: process.Beside(s.sys.Self, "directord-oracle"), Programs: started,
		Roots: check.SystemRoots(s.sys.getenv("SSL_CERT_FILE"), s.sys.getenv("SSL_CERT_DIR")),
	}, sources, s.orders(ctx))
	s.publisher = newPublisher(s.attribute, attribute.Node{Programs: started}, d, s.log)
	s.publisher.setupOf = func() string { return s.sys.Version + " " + s.source.digest() }
	if err := s.begin(ctx); err != nil {
		return err
	}
	if err := s.work(ctx, d, listener); err != nil {
		return err
	}
	if err := context.Cause(ctx); errors.Is(err, errLost) {
		// Another daemon can have the pid file now, so this daemon ends without a change of the kernel.
		return fmt.Errorf("%s: %w", control.PIDFile(s.stateDir, s.id), err)
	}
	return s.end(ctx, d)
}

// engine returns the engine of package health for this daemon. orders are the orders of operators.
func (s *server) engine(tools health.Tools, sources *check.Sources, orders []control.Command) *health.Daemon {
	return health.New(health.Options{
		ID: s.id, Source: s.ipvs, Config: s.name(), Version: s.sys.Version, PID: os.Getpid(),
		PathFault: s.sys.PathFault, Waiting: s.sys.Waiting, Counters: s.sys.Counters, Kernel: s.sys.Kernel, Store: s.source.store, Log: s.log, Load: s.source.load, Checker: health.Checkers(tools),
		SaveVerdicts: s.saveVerdicts, Orders: orders, SaveOrders: s.saveOrders,
		Lives: func(id string) (bool, error) { return control.Lives(s.stateDir, id) },
		Accepted: func(setup health.Setup) {
			sources.Avoid(setup.Virtual())
			s.source.accept(setup)
			s.mail.setFrom(s.source.current().AlertFrom)
			s.notifier.verify()
			s.verifyExpire(setup)
			s.addresses.setup.Store(&setup)
		},
		Occurred: s.occurred, Checked: s.monitorfile.checked, Serving: s.programs.serving,
	})
}

// verifyExpire logs a warning for each service with expire or reset, if the sysctl of the kernel
// does not let its connections end.
func (s *server) verifyExpire(setup health.Setup) {
	for _, service := range setup.Services {
		if service.MarkedDown.Ends() && s.sys.Sysctl("expire_nodest_conn") == "0" {
			s.log.Warnf("on_marked_down=%s of %s: net.ipv4.vs.expire_nodest_conn is 0, so clients of a removed real server get no answer and no error; "+
				"give the ipvs resource expire_nodest_conn=yes, or sysctl -w net.ipv4.vs.expire_nodest_conn=1", service.MarkedDown, service.ID)
		}
	}
}

// occurred logs an event, sends alerts about it, and passes it to the clients that read events.
func (s *server) occurred(e health.Event) {
	compat.LogEvent(s.log, e)
	s.mail.occurred(e)
	s.notifier.occurred(e)
	s.keep(e)
	if s.feed.Wanted() {
		s.feed.Publish(e.Control())
	}
}

// keep keeps an event for lvsctl events. It leaves out single checks, the steps of a slow start and
// the weights that real servers choose, because the others would be lost early.
func (s *server) keep(e health.Event) {
	if slices.Contains([]health.Kind{health.CheckFailed, health.CheckPassed, health.ServerRising, health.ServerAdjusted}, e.Kind) {
		return
	}
	err := s.kept.Keep(e.Control())
	if failed := err != nil; s.keepFailed.Swap(failed) != failed && failed {
		s.log.Warn(err)
	}
}

// begin opens the log that the configuration names, and logs the start of the daemon.
func (s *server) begin(ctx context.Context) error {
	r, err := s.source.parsed(ctx)
	if err != nil {
		return err
	}
	s.lines.To(r.cfg.LogFile)
	if r.cfg.Supervised && !s.debug && !s.notify {
		s.lines.Foreground(s.sys.Stdout, true)
	}
	// A daemon that the cluster started can run without a log.
	if err := s.lines.Try(); err != nil && s.purge {
		return fmt.Errorf("logfile: %w", err)
	}
	if s.invoked != "" {
		s.log.Info(compat.InvokedLine(strings.Fields(s.invoked)))
	}
	if s.foreground {
		s.log.Info(compat.ForegroundLine(s.sys.Version, os.Getpid()))
		return nil
	}
	s.log.Info(compat.DaemonLine(s.sys.Version))
	return nil
}

// errLost is the error of a daemon whose pid file was removed or replaced. The daemon then ends
// without a change of the kernel, because a status query does not find the daemon, and another
// daemon can start.
var errLost = errors.New("the pid file was removed or replaced; start again")

// controlled is the daemon as the clients of its socket see it. Its Reload calls the reload of the
// server.
type controlled struct {
	*health.Daemon
	server *server
}

// Reload implements control.Daemon. It reloads only this instance; executeAll sends the reload to
// each instance.
func (c controlled) Reload(ctx context.Context) error { return c.server.reloadOwn(ctx, c.Daemon) }

// Snapshot implements control.Daemon. It adds the node attribute and the hash tables to the
// state of the engine.
func (c controlled) Snapshot(ctx context.Context) (control.Snapshot, error) {
	snapshot, err := c.Daemon.Snapshot(ctx)
	if err != nil {
		return snapshot, err
	}
	snapshot.Attribute = c.server.publisher.state.Load()
	if c.server.config != "" {
		snapshot.Digest = c.server.source.digest()
	}
	snapshot.HashTables, err = c.HashTables(ctx)
	return snapshot, err
}

// view answers users other than root. The daemon also works without the socket for them.
func (s *server) view(ctx context.Context, d *health.Daemon) {
	listener, err := control.ListenView(s.stateDir, s.id)
	if err == nil && listener != nil {
		err = control.View(ctx, listener, controlled{d, s}, &s.feed)
	}
	if err != nil {
		s.log.Warnf("status for other users: %v", err)
	}
}

// partsTimeout is how long the goroutines of a daemon can take to end. A goroutine can wait for a
// file system that does not respond.
const partsTimeout = 2 * time.Second

// work runs the engine and the other goroutines of the daemon until ctx ends.
func (s *server) work(ctx context.Context, d *health.Daemon, listener *net.UnixListener) error {
	ctx, cancel := context.WithCancel(ctx)
	var parts sync.WaitGroup
	defer func() {
		cancel()
		ended := make(chan struct{})
		go func() {
			parts.Wait()
			close(ended)
		}()
		select {
		case <-ended:
		case <-time.After(partsTimeout):
		}
	}()
	parts.Go(func() {
		if err := control.Serve(ctx, listener, controlled{d, s}, &s.feed); err != nil {
			s.log.Error(err)
			cancel()
		}
	})
	parts.Go(func() { s.view(ctx, d) })
	parts.Go(func() { s.watch(ctx, d) })
	parts.Go(func() { newMaintenance(s.log, s.sys.Resolver).run(ctx, s.source.current, d) })
	parts.Go(func() { s.mail.remind(ctx, d) })
	parts.Go(func() { s.monitorfile.run(ctx) })
	parts.Go(func() { s.systemd.feed(ctx, d) })
	parts.Go(func() { s.publisher.run(ctx) })
	parts.Go(func() { s.addresses.run(ctx) })
	parts.Go(func() { s.follower.run(ctx, d.Obey) })
	parts.Go(func() { newPeers(s, d).run(ctx) })
	s.stopAlerts = deliver(s.mail.sender.Run, s.notifier.webhook.Run)
	return d.Run(ctx, func() {
		if s.notify {
			process.Ready()
		}
		s.systemd.ready()
		s.executeAll(ctx, "start")
	})
}

// saveVerdicts writes the verdict file. Monitors read this file if the daemon does not reply, and
// the next start of the ipvs resource reads it.
func (s *server) saveVerdicts(v state.Verdicts) {
	s.programs.started.Reap()
	if !s.holds() {
		return // The pid file belongs to another daemon now, and so does the verdict file.
	}
	text := ""
	if err := v.Save(s.stateDir, s.id); err != nil {
		text = err.Error()
	}
	if text != "" && text != s.verdictsError {
		s.log.Warn(text)
	}
	s.verdictsError = text
}

// endTimeout is how long a daemon can take to remove its services from the kernel.
const endTimeout = 30 * time.Second

// end ends the daemon. With purge, it removes the services that the configuration does not keep.
func (s *server) end(ctx context.Context, d *health.Daemon) error {
	s.systemd.stopping()
	s.executeAll(ctx, "stop")()
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
	defer cancel()
	err := d.Secure(limited)
	if s.purge {
		err = errors.Join(err, s.release(limited, d))
	}
	s.stopAlerts()
	by := signalOf(ctx)
	s.log.Info(compat.EndLine(by))
	if s.debug {
		s.log.Info(compat.ExitLine(by))
	}
	return err
}

// release removes the services of the daemon from the kernel, and logs each removal.
func (s *server) release(ctx context.Context, d *health.Daemon) error {
	ops, err := s.source.store.Release(ctx, s.sys.Kernel, s.id, d.Kept()...)
	for _, op := range ops {
		// The ipvs resource has this service in its record again, so the service stays in the kernel.
		if op.Verb != lvs.DeleteService {
			s.log.Infof("the daemon no longer checks this destination: %s", op)
			continue
		}
		for _, e := range d.Ends(op) {
			s.occurred(e)
		}
	}
	return err
}

func signalOf(ctx context.Context) string {
	if cause, ok := errors.AsType[Ended](context.Cause(ctx)); ok {
		return cause.Error()
	}
	return "TERM"
}

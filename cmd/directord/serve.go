package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/sirupsen/logrus"

	"lvs-agents/internal/alert"
	"lvs-agents/internal/check"
	"lvs-agents/internal/check/epoll"
	"lvs-agents/internal/config"
	"lvs-agents/internal/control"
	"lvs-agents/internal/daemon"
	"lvs-agents/internal/disk"
	"lvs-agents/internal/health"
	"lvs-agents/internal/kernel/ipvs"
	"lvs-agents/internal/lvs"
	"lvs-agents/internal/state/record"
)

// serveVerb is the word with which the program starts itself as the daemon;
// the health agent does, too. It is not for people.
const serveVerb = control.ServeVerb

// serving is the command line of the daemon itself.
type serving struct {
	host
	id, config, ipvs     string
	instance, pidFile    string // as ldirectord has them; empty for a daemon of the health agent
	invoked              string // command line to log; empty if that was done
	purge, notify, debug bool
	foreground           bool
	checks               config.Checks
	store                record.Store
	pulse                func() (ours bool) // called every second; false for a daemon that has lost its identity
	log                  *logrus.Logger
	sink                 *logSink
	sum                  atomic.Pointer[[sha256.Size]byte] // of the configuration that was read last
	file                 atomic.Pointer[config.Config]     // that was accepted last; nil for none
	read                 *config.Config                    // that was read last
	names                *config.Names
	known                []config.Problem // those of file, names looked up
	lookedUp             time.Time        // when names that had no address were looked up again
	refused              []string         // the parts of read that are never up
	refusedBefore        []string         // those of file
	unknown              []config.Host    // names of read that have never had an address
	unknownBefore        []config.Host    // those of file
	others               disk.Reader      // of the configurations that execute= names; one that hangs holds up no read of ours
	programs             *programs
	mails                *mailer
	monitor              *monitor
	beatSaid             string // the last error of beat
}

// serve is the daemon. It returns the exit code.
func serve(ctx context.Context, args []string, h host) int {
	// Until somebody listens for it, it would end the daemon. A channel that nobody
	// reads does not hand that on to programs that we run, as ignoring it would.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	s := &serving{host: h, checks: config.Checks{}, names: config.NewNames(resolver)}
	if err := s.parse(args); err != nil {
		l := line{host: h}
		return l.fail(exitUsage, err)
	}
	s.files = new(disk.Reader) // a process for each look would cost too much
	s.sink = newLogSink(s.instance, h.stderr)
	s.sink.reasons = !s.purge
	s.log = newLogger(s.sink, s.debug)
	if s.debug {
		s.sink.foreground(h.stderr, false)
	}
	if s.instance == "" {
		s.sink.instance = s.id
	}
	err := s.run(ctx)
	switch {
	case err == nil:
		return exitOK
	case s.notify:
		daemon.Fail(err) // nobody listens any more if it was ready
	}
	s.log.Errorf("directord ends: %v", err)
	fmt.Fprintf(h.stderr, "directord: %v\n", err)
	return exitFailed
}

func (s *serving) parse(args []string) error {
	flags := flag.NewFlagSet("directord "+serveVerb, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&s.stateDir, "state-dir", s.stateDir, "")
	flags.StringVar(&s.id, "id", "", "")
	flags.StringVar(&s.config, "config", "", "")
	flags.StringVar(&s.ipvs, "ipvs", "", "")
	flags.StringVar(&s.instance, "instance", "", "")
	flags.StringVar(&s.pidFile, "pid-file", "", "")
	flags.StringVar(&s.invoked, "invoked", "", "")
	flags.BoolVar(&s.purge, "purge", false, "")
	flags.BoolVar(&s.notify, "notify", false, "")
	flags.BoolVar(&s.debug, "debug", false, "")
	flags.BoolVar(&s.foreground, "foreground", false, "")
	flags.Func("check", "", func(text string) error {
		name, value, _ := strings.Cut(text, "=")
		s.checks[name] = value
		return nil
	})
	if err := flags.Parse(args); err != nil {
		return err
	}
	if s.id == "" || (s.config == "") == (s.ipvs == "") || flags.NArg() > 0 {
		return errors.New("one of --config and --ipvs, and --id, are needed")
	}
	return nil
}

func (s *serving) run(ctx context.Context) (err error) {
	identity, err := daemon.Acquire(control.PIDFile(s.stateDir, s.id))
	if err != nil {
		return fmt.Errorf("directord %s: %w", s.id, err)
	}
	defer func() { err = errors.Join(err, identity.Release()) }()
	if s.notify && !daemon.Awaited() {
		return errors.New("the process that started it has gone")
	}
	if s.store, err = record.In(s.stateDir); err != nil {
		return err
	}
	if err := s.names.Restore(s.stateDir); err != nil {
		s.log.Warn(err)
	}
	listener, err := control.Listen(s.stateDir, s.id)
	if err != nil {
		return err
	}
	ctx, leave := context.WithCancelCause(ctx)
	defer leave(nil)
	s.pulse = func() (ours bool) {
		if ours = identity.Held(); !ours {
			listener.SetUnlinkOnClose(false) // the path may be another's by now
			leave(errLost)
		}
		return ours
	}
	if s.pidFile != "" && !s.debug {
		if err := os.WriteFile(s.pidFile, fmt.Appendf(nil, "%d\n", os.Getpid()), 0o644); err != nil {
			return err
		}
		defer func() {
			if identity.Held() { // which is another file; else this one may be another's
				_ = os.Remove(s.pidFile)
			}
		}()
	}
	kernel := ipvs.New()
	defer func() { _ = kernel.Close() }()
	sources := check.NewSources()
	pinger := check.NewPinger(sources, uint16(os.Getpid()))
	defer pinger.Close()
	dialer, err := epoll.Open()
	if err != nil {
		return err
	}
	defer dialer.Close()
	user, hostname := sender()
	started, err := check.NewPrograms(os.Environ())
	if err != nil {
		return err
	}
	s.programs = newPrograms(s.log, started)
	s.monitor = newMonitor(s.log)
	s.mails = &mailer{sender: alert.New(user, hostname, s.log), host: hostname}
	d := health.New(health.Options{
		ID: s.id, Source: s.ipvs, Config: s.name(), Version: s.version, PID: os.Getpid(),
		Kernel: kernel, Store: s.store, Log: s.log, Load: s.load, Checker: health.Checkers(health.Tools{
			Source: sources, Pinger: pinger, Dialer: dialer, Oracle: beside(s.self, "directord-oracle"), Programs: started,
			Roots: check.SystemRoots(os.Getenv("SSL_CERT_FILE"), os.Getenv("SSL_CERT_DIR")),
		}),
		Beat:  s.beat,
		Lives: func(id string) (bool, error) { return control.Lives(s.stateDir, id) },
		Accepted: func(setup health.Setup) {
			sources.Avoid(setup.Virtual())
			s.known = setup.Problems
			s.accepted()
		},
		Changed: s.mails.changed, Checked: s.monitor.checked, Serving: s.programs.serving,
	})
	if err := s.begin(ctx); err != nil {
		return err
	}
	if err := s.work(ctx, d, listener); err != nil {
		return err
	}
	if err := context.Cause(ctx); errors.Is(err, errLost) {
		return fmt.Errorf("%s: %w", control.PIDFile(s.stateDir, s.id), err) // and change nothing any more
	}
	return s.end(ctx, d, kernel)
}

// begin says that the daemon starts, where its configuration wants that said.
func (s *serving) begin(ctx context.Context) error {
	cfg, err := s.parsed(ctx)
	if err != nil {
		return err
	}
	s.sink.to(cfg.LogFile)
	if cfg.Supervised && !s.debug && !s.notify {
		s.sink.foreground(s.stdout, true)
	}
	if err := s.sink.try(); err != nil && s.purge { // to a cluster checks matter more than their log
		return fmt.Errorf("logfile: %w", err)
	}
	if s.invoked != "" {
		s.log.Info(invocation(strings.Fields(s.invoked)))
	}
	if s.foreground {
		s.log.Infof("Starting Linux Director %s with pid: %d", s.version, os.Getpid())
		return nil
	}
	s.log.Infof("Starting Linux Director %s as daemon", s.version)
	return nil
}

// beside is the path of another program that was installed together with this one.
func beside(self, name string) string {
	if path, err := filepath.EvalSymlinks(self); err == nil {
		self = path
	}
	return filepath.Join(filepath.Dir(self), name)
}

// errLost ends a daemon that nobody could stop any more.
var errLost = errors.New("the pid file was removed or replaced; start again")

// controlled is the daemon as its socket has it: a reload is the program's.
type controlled struct {
	*health.Daemon
	serving *serving
}

// Reload implements control.Daemon. It is for one instance, see executeAll.
func (c controlled) Reload(ctx context.Context) error { return c.serving.reloadOwn(ctx, c.Daemon) }

// work runs the daemon and everything that talks to it until ctx ends.
func (s *serving) work(ctx context.Context, d *health.Daemon, listener *net.UnixListener) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var others sync.WaitGroup
	defer func() {
		ended := make(chan struct{})
		go func() {
			others.Wait()
			close(ended)
		}()
		select {
		case <-ended:
		case <-time.After(2 * second): // it waits for a file system that does not answer
		}
	}()
	defer cancel()
	others.Go(func() {
		if err := control.Serve(ctx, listener, controlled{d, s}); err != nil {
			s.log.Error(err)
			cancel()
		}
	})
	others.Go(func() { s.watch(ctx, d) })
	others.Go(func() { s.maintain(ctx, d) })
	others.Go(func() { s.mails.remind(ctx, d) })
	others.Go(func() { s.monitor.run(ctx) })
	others.Go(func() { s.supervise(ctx, d) })
	mails := make(chan struct{})
	go func() {
		defer close(mails)
		s.mails.sender.Run(s.mails.until(), patience/12)
	}()
	s.mails.done = mails
	return d.Run(ctx, func() {
		if s.notify {
			daemon.Ready()
		}
		s.notifyReady()
		s.executeAll(ctx, "start")
	})
}

// beat is for monitors that get no answer, and for the next start of ipvs.
func (s *serving) beat(b control.Beat) {
	s.programs.started.Reap()
	if !s.pulse() {
		return // the file is that of the daemon that came after
	}
	err := b.Save(s.stateDir, s.id)
	said := ""
	if err != nil {
		said = err.Error()
	}
	if err != nil && said != s.beatSaid {
		s.log.Warn(err)
	}
	s.beatSaid = said
}

// end takes the services out that the configuration does not keep.
func (s *serving) end(ctx context.Context, d *health.Daemon, kernel record.Kernel) error {
	s.notifyStopping()
	s.executeAll(ctx, "stop")()
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience/2)
	defer cancel()
	err := d.Secure(limited)
	if s.purge {
		ops, failed := s.store.Release(limited, kernel, s.id, d.Kept()...)
		err = errors.Join(err, failed)
		for _, op := range ops {
			if op.Verb != lvs.DeleteService { // of a resource that has its service back
				s.log.Infof("not checked any more: %s", op)
				continue
			}
			for _, e := range d.Ends(op) {
				s.log.WithField("op", op.String()).Info(e.Message)
				s.mails.changed(e)
			}
		}
	}
	s.mails.stop()
	why := "Linux Director Daemon terminated on signal: " + signalOf(ctx)
	s.log.Info(why)
	if s.debug {
		s.log.Info("Exiting with exit_status 0: " + why)
	}
	return err
}

func signalOf(ctx context.Context) string {
	if by, ok := errors.AsType[ended](context.Cause(ctx)); ok {
		return by.Error()
	}
	return "TERM"
}

func (s *serving) name() string {
	if s.ipvs != "" {
		return "resource " + s.ipvs
	}
	return s.config
}

// accepted makes what was read last the configuration that counts.
func (s *serving) accepted() {
	cfg := s.read
	s.file.Store(cfg)
	s.refusedBefore, s.unknownBefore = s.refused, s.unknown
	if err := s.names.Save(s.stateDir); err != nil {
		s.log.Warn(err)
	}
	s.sink.to(cfg.LogFile)
	s.mails.from(cfg.AlertFrom)
}

// load reads the configuration as it is now.
func (s *serving) load(ctx context.Context) (health.Setup, error) {
	ctx, cancel := context.WithTimeout(ctx, patience/6)
	defer cancel()
	cfg, err := s.parsed(ctx)
	if err != nil {
		return health.Setup{}, err
	}
	if old := s.file.Load(); s.purge && len(cfg.Services) == 0 && old != nil && len(old.Services) > 0 {
		return health.Setup{}, fmt.Errorf("%s has no virtual service any more; stop the daemon if that is meant", cfg.File)
	}
	setup, err := health.NewSetup(ctx, cfg, s.names)
	if err == nil {
		err = s.unknownNames(setup)
	}
	s.read = cfg
	return setup, err
}

// unknownNames refuses an edited file with names that have never had an address: a
// mistake, not a change of the DNS.
func (s *serving) unknownNames(setup health.Setup) error {
	s.unknown = s.names.Unknown()
	if s.file.Load() == nil {
		return nil
	}
	isNew := func(h config.Host) bool { return !slices.Contains(s.unknownBefore, h) }
	for _, p := range setup.Problems {
		named := func(h config.Host) bool { return isNew(h) && strings.Contains(p.What, " "+h.Name+": ") }
		if slices.ContainsFunc(s.unknown, named) {
			return errors.New(p.String())
		}
	}
	return nil
}

// judge logs what a file does not say as it should. An edited one must not take out
// what works: no more of it may be refused than before.
func (s *serving) judge(path string, problems []config.Problem, log bool) error {
	var refused []string
	var worse error
	for _, p := range problems {
		said := strings.TrimPrefix(p.String(), p.Position()+": ")
		switch {
		case p.Severity != config.Refused:
			if log {
				s.log.Warnf("Warning [%d] reading file %s at line %d: %s", os.Getpid(), path, p.Line, said)
			}
			continue
		case log:
			s.log.Errorf("Error [%d] reading file %s at line %d: %s", os.Getpid(), path, p.Line, said)
		}
		refused = append(refused, said)
		if s.file.Load() != nil && worse == nil && !slices.Contains(s.refusedBefore, said) {
			worse = errors.New(p.String())
		}
	}
	s.refused = refused
	return worse
}

// parsed reads and judges the configuration. Warnings are logged once.
func (s *serving) parsed(ctx context.Context) (*config.Config, error) {
	if s.ipvs != "" {
		held, err := s.store.Load(s.ipvs)
		if errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("resource %s has no virtual services on this node; start it first", s.ipvs)
		}
		if err != nil {
			return nil, err
		}
		return config.WithChecks("resource "+s.ipvs, held.Services, s.checks)
	}
	path, text, err := config.Read(ctx, s.files, s.config)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(text)
	known := s.sum.Swap(&sum)
	cfg, problems := config.Parse(path, text)
	if err := config.Err(problems); err != nil {
		return nil, err
	}
	if !s.purge && len(cfg.Services) == 0 {
		return nil, fmt.Errorf("%s has no virtual service; add virtual=ADDRESS:PORT", path)
	}
	if known == nil {
		s.sink.to(cfg.LogFile) // later ones when they are accepted
	}
	return cfg, s.judge(path, problems, known == nil || *known != sum)
}

// same tells whether nothing has happened to a file between two looks.
func same(a, b os.FileInfo) bool {
	return b != nil && os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}

const second = time.Second

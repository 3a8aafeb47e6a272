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
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/sirupsen/logrus"

	"lvs-agents/internal/check"
	"lvs-agents/internal/config"
	"lvs-agents/internal/control"
	"lvs-agents/internal/daemon"
	"lvs-agents/internal/health"
	"lvs-agents/internal/kernel/ipvs"
	"lvs-agents/internal/record"
)

// serveVerb is the word with which the program starts itself as the daemon;
// the health agent does, too. It is not for people.
const serveVerb = control.ServeVerb

// serving is the command line of the daemon itself.
type serving struct {
	host
	id, config, ipvs     string
	purge, notify, debug bool
	checks               config.CheckParams
	store                record.Store
	log                  *logrus.Logger
	sink                 *logSink
	sum                  atomic.Pointer[[sha256.Size]byte] // of the configuration that was read last
	autoreload           atomic.Bool
}

// serve is the daemon. It returns the exit code.
func serve(ctx context.Context, args []string, h host) int {
	s := &serving{host: h}
	if err := s.parse(args); err != nil {
		return line{host: h}.fail(exitUsage, err)
	}
	s.sink = newLogSink(s.id, h.stderr)
	s.log = newLogger(s.sink, s.debug)
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
	flags.BoolVar(&s.purge, "purge", false, "")
	flags.BoolVar(&s.notify, "notify", false, "")
	flags.BoolVar(&s.debug, "debug", false, "")
	flags.StringVar((*string)(&s.checks.Type), "checktype", "", "")
	flags.StringVar((*string)(&s.checks.Application), "service", "", "")
	flags.StringVar(&s.checks.Request, "request", "", "")
	flags.StringVar(&s.checks.Receive, "receive", "", "")
	flags.StringVar(&s.checks.VirtualHost, "virtualhost", "", "")
	flags.IntVar(&s.checks.Port, "checkport", 0, "")
	flags.IntVar(&s.checks.Interval, "checkinterval", 0, "")
	flags.IntVar(&s.checks.Timeout, "checktimeout", 0, "")
	flags.StringVar(&s.checks.Fallback, "fallback", "", "")
	flags.BoolVar(&s.checks.Quiescent, "quiescent", false, "")
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
	if s.store, err = record.In(s.stateDir); err != nil {
		return err
	}
	listener, err := control.Listen(s.stateDir, s.id)
	if err != nil {
		return err
	}
	kernel := ipvs.New()
	defer func() { _ = kernel.Close() }()
	sources := check.NewSources()
	pinger := check.NewPinger(sources, uint16(os.Getpid()))
	defer pinger.Close()
	d := health.New(health.Options{
		ID: s.id, Source: s.ipvs, Config: s.name(), Version: s.version, PID: os.Getpid(),
		Kernel: kernel, Store: s.store, Log: s.log, Load: s.load, Checker: health.Checkers(sources, pinger),
		Beat: s.beat,
		Accepted: func(setup health.Setup) {
			sources.Avoid(setup.Virtual())
			s.autoreload.Store(setup.AutoReload)
		},
	})
	s.log.Infof("Starting Linux Director %s as daemon", s.version)
	if err := s.work(ctx, d, listener); err != nil {
		return err
	}
	s.log.Info("Linux Director Daemon terminated on signal: TERM")
	if !s.purge {
		return nil
	}
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience/2)
	defer cancel()
	ops, err := s.store.Release(limited, kernel, s.id)
	for _, op := range ops {
		s.log.WithField("op", op.String()).Infof("Purged virtual server (stop): %s", health.VirtualName(op.Service.ID))
	}
	return err
}

// work runs the daemon and everything that talks to it until ctx ends.
func (s *serving) work(ctx context.Context, d *health.Daemon, listener *net.UnixListener) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var others sync.WaitGroup
	defer others.Wait()
	defer cancel()
	others.Go(func() {
		if err := control.Serve(ctx, listener, d); err != nil {
			s.log.Error(err)
			cancel()
		}
	})
	others.Go(func() { s.watch(ctx, d) })
	return d.Run(ctx, func() {
		if s.notify {
			daemon.Ready()
		}
	})
}

// beat is for monitors that get no answer, and for the next start of ipvs.
func (s *serving) beat(b control.Beat) {
	if err := b.Save(s.stateDir, s.id); err != nil {
		s.log.Warn(err)
	}
}

func (s *serving) name() string {
	if s.ipvs != "" {
		return "resource " + s.ipvs
	}
	return s.config
}

// load reads the configuration as it is now.
func (s *serving) load(ctx context.Context) (health.Setup, error) {
	ctx, cancel := context.WithTimeout(ctx, patience/6)
	defer cancel()
	cfg, err := s.read()
	if err != nil {
		return health.Setup{}, err
	}
	setup, err := health.NewSetup(ctx, cfg, resolver)
	if err == nil {
		s.sink.to(cfg.LogFile)
	}
	return setup, err
}

func (s *serving) read() (*config.Config, error) {
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
	path, text, err := config.Read(s.config)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(text)
	s.sum.Store(&sum)
	cfg, problems := config.Parse(path, text)
	if err := config.Err(problems); err != nil {
		return nil, err
	}
	if len(cfg.Services) == 0 {
		return nil, fmt.Errorf("%s has no virtual service; add virtual=ADDRESS:PORT", path)
	}
	return cfg, nil
}

// watch reloads on SIGHUP, and when the file has other bytes under autoreload.
func (s *serving) watch(ctx context.Context, d *health.Daemon) {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	var seen os.FileInfo
	for {
		select {
		case <-ctx.Done():
			return
		case <-hup:
			s.log.Info("Reloading Linux Director Daemon config on signal")
		case <-ticker.C:
			info, err := os.Stat(s.config)
			if err != nil || !s.autoreload.Load() || same(info, seen) {
				continue
			}
			seen = info
			if !s.differs() {
				continue
			}
			s.log.Infof("Configuration file '%s' has changed on disk", s.config)
			s.log.Info(" - reread new configuration")
		}
		_ = d.Reload(ctx) // it was logged and is in the status
	}
}

func same(a, b os.FileInfo) bool {
	return b != nil && os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}

func (s *serving) differs() bool {
	_, text, err := config.Read(s.config)
	old := s.sum.Load()
	return err == nil && (old == nil || sha256.Sum256(text) != *old)
}

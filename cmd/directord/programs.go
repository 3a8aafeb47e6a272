package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/sirupsen/logrus"

	"lvs-agents/internal/check"
	"lvs-agents/internal/health"
	"lvs-agents/internal/lvs"
)

// programs runs what a configuration names, without a shell and without making
// the daemon wait.
type programs struct {
	log     logrus.FieldLogger
	started *check.Programs

	mu      sync.Mutex
	waiting map[lvs.ServiceID][]func() // fallback commands, in order
}

func newPrograms(log logrus.FieldLogger, started *check.Programs) *programs {
	return &programs{log: log, started: started, waiting: map[lvs.ServiceID][]func(){}}
}

// serving runs the fallback command of a service.
func (p *programs) serving(s health.Service, serving bool) {
	if len(s.FallbackCommand) == 0 {
		return
	}
	state, address, protocol := "start", ":0", "fwm"
	if serving {
		state = "stop"
	}
	if s.ID.IsMark() && s.ID.IPv6 {
		protocol = "fwm6"
	}
	if !s.ID.IsMark() {
		address, protocol = s.ID.Addr.String(), s.ID.Protocol.String()
	}
	words := append(append([]string{}, s.FallbackCommand...), state, address, protocol)
	p.mu.Lock()
	defer p.mu.Unlock()
	busy := len(p.waiting[s.ID]) > 0
	p.waiting[s.ID] = append(p.waiting[s.ID], func() { p.run(context.Background(), words[0], words[1:]...) })
	if !busy {
		go p.drain(s.ID)
	}
}

// drain runs the commands of a service one after the other.
func (p *programs) drain(id lvs.ServiceID) {
	for {
		p.mu.Lock()
		next := p.waiting[id]
		p.mu.Unlock()
		next[0]()
		p.mu.Lock()
		p.waiting[id] = p.waiting[id][1:]
		done := len(p.waiting[id]) == 0
		p.mu.Unlock()
		if done {
			return
		}
	}
}

// run runs a program and logs how it failed.
func (p *programs) run(ctx context.Context, name string, args ...string) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	cmd, err := p.started.Start(append([]string{name}, args...), func(argv []string) *exec.Cmd {
		cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
		cmd.WaitDelay = time.Second
		return cmd
	})
	if err == nil {
		err = cmd.Wait()
		p.started.Ended(cmd)
	}
	if err != nil {
		p.log.Errorf("system(%s) failed: %v", cmd, err)
	}
}

// executeAll hands an action to the instances that execute= names; wait returns
// when it was done.
func (s *serving) executeAll(ctx context.Context, action string) (wait func()) {
	var all sync.WaitGroup
	cfg := s.file.Load()
	if cfg == nil || !s.purge {
		return all.Wait
	}
	self, err := os.Readlink(s.self)
	if err != nil {
		self = s.self
	}
	for _, name := range cfg.Execute {
		if filepath.Base(name) != filepath.Base(s.config) {
			all.Go(func() { s.execute(context.WithoutCancel(ctx), self, name, action) })
		}
	}
	return all.Wait
}

// execute starts an instance that is not there to be reloaded.
func (s *serving) execute(ctx context.Context, self, name, action string) {
	if action == "reload" && exec.CommandContext(ctx, self, name, action).Run() == nil {
		return
	}
	if action == "reload" {
		action = "start"
	}
	s.programs.run(ctx, self, name, action)
}

// sender is the user and host that mail comes from.
func sender() (user, hostname string) {
	hostname, err := os.Hostname()
	if err != nil {
		hostname = "localhost"
	}
	if name := os.Getenv("HOSTNAME"); name != "" {
		hostname = name
	}
	if user = os.Getenv("USER"); user == "" {
		user = "root"
	}
	return user, hostname
}

// subject is a message as the subject of mail about a service.
func subject(s health.Service, message string) string {
	if s.Title == "" {
		return message
	}
	return fmt.Sprintf("[%s] %s", s.Title, message)
}

package directord

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"lvs-agents/internal/directord/compat"
	"lvs-agents/internal/disk"
	"lvs-agents/internal/health"
	"lvs-agents/internal/logsink"
	"lvs-agents/internal/lvs"
	"lvs-agents/internal/program"
)

// programs runs the programs that a configuration names, without a shell. The checks of the daemon
// do not wait for these programs.
type programs struct {
	log     logrus.FieldLogger
	environ []string
	started *program.Set

	room chan struct{} // room has one element for each program of an alert that runs.

	mu sync.Mutex
	// running has the programs that run at the moment.
	running map[subject]*turn
}

// subject is what a program is about. At most one program runs for a subject at a time.
type subject struct {
	service lvs.ServiceID
	server  netip.AddrPort // server is the real server. It is zero for the whole service.
	alert   bool           // alert says that the program is for an alert. Otherwise it is the fallback command.
}

// job is a program that runs because of a state of its subject.
type job struct {
	state string
	words []string
	// environ has the variables of the program that the daemon does not have itself.
	environ []string
}

// turn is a job that runs.
type turn struct {
	job
	// next is the job for the newest state of the subject. It is nil if the turn is that job.
	next *job
}

// alertPrograms is how many programs run for alerts at once. When a thousand real servers lose
// their network, their programs wait for each other.
const alertPrograms = 8

func newPrograms(log logrus.FieldLogger, environ []string, started *program.Set) *programs {
	return &programs{log: log, environ: environ, started: started, room: make(chan struct{}, alertPrograms), running: map[subject]*turn{}}
}

// serving runs the fallback command of a service for a new state.
func (p *programs) serving(s health.Service, serving bool) {
	if len(s.FallbackCommand) == 0 {
		return
	}
	words := compat.FallbackCommand(s, serving)
	p.newest(subject{service: s.ID}, job{state: fmt.Sprint(words), words: words})
}

// newest runs a program for a new state. If a program still runs for another state of the
// subject, newest only stores the new state.
func (p *programs) newest(s subject, j job) {
	p.mu.Lock()
	defer p.mu.Unlock()
	running := p.running[s]
	switch {
	case running == nil:
		p.running[s] = &turn{job: j}
		go p.follow(s, &j)
	case running.state == j.state:
		running.next = nil
	default:
		running.next = &j
	}
}

// follow runs the programs of a subject, until a program has run for the newest state. It runs no
// program for a state that ended meanwhile.
func (p *programs) follow(s subject, j *job) {
	for j != nil {
		p.runJob(s, *j)
		p.mu.Lock()
		j = p.running[s].next
		if j == nil {
			delete(p.running, s)
		} else {
			p.running[s] = &turn{job: *j}
		}
		p.mu.Unlock()
	}
}

func (p *programs) runJob(s subject, j job) {
	if s.alert {
		p.room <- struct{}{}
		defer func() { <-p.room }()
	}
	if err := p.try(context.Background(), append(slices.Clone(p.environ), j.environ...), j.words); err != nil {
		p.log.Error(err)
	}
}

// programTimeout is how long a program can run before it is killed.
const programTimeout = 60 * time.Second

// run runs a program and logs the error if the program fails.
func (p *programs) run(ctx context.Context, name string, args ...string) {
	if err := p.try(ctx, p.environ, append([]string{name}, args...)); err != nil {
		p.log.Error(err)
	}
}

// try runs a program with arguments and returns its error. After programTimeout and a few seconds,
// it no longer waits for a program that cannot be started or killed.
func (p *programs) try(ctx context.Context, environ, words []string) error {
	bounded := logsink.Bounded{Limit: programTimeout + 2*program.CloseTimeout}
	err := bounded.Do(func() error { return p.wait(ctx, environ, words) })
	if errors.Is(err, logsink.ErrTimedOut) {
		return fmt.Errorf("system(%s) failed: %w", strings.Join(words, " "), disk.ErrSilent)
	}
	return err
}

// wait runs a program with arguments and waits until it ends.
func (p *programs) wait(ctx context.Context, environ, words []string) error {
	ctx, cancel := context.WithTimeout(ctx, programTimeout)
	defer cancel()
	cmd, err := p.started.Run(ctx, program.Command{Argv: words, Environ: environ})
	if err != nil {
		return fmt.Errorf("system(%s) failed: %w", cmd, err)
	}
	return nil
}

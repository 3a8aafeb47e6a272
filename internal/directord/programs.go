package directord

import (
	"context"
	"errors"
	"fmt"
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

	mu sync.Mutex
	// fallbacks has the services whose fallbackcommand is running at the moment.
	fallbacks map[lvs.ServiceID]*fallback
}

// fallback is the fallback command of a service while the command runs.
type fallback struct {
	words []string
	// next is the command for the newest state of the service. It is nil if words is that command.
	next []string
}

func newPrograms(log logrus.FieldLogger, environ []string, started *program.Set) *programs {
	return &programs{log: log, environ: environ, started: started, fallbacks: map[lvs.ServiceID]*fallback{}}
}

// serving runs the fallback command of a service for a new state. If the command still runs for
// another state, serving only stores the new state.
func (p *programs) serving(s health.Service, serving bool) {
	if len(s.FallbackCommand) == 0 {
		return
	}
	words := compat.FallbackCommand(s, serving)
	p.mu.Lock()
	defer p.mu.Unlock()
	running := p.fallbacks[s.ID]
	switch {
	case running == nil:
		p.fallbacks[s.ID] = &fallback{words: words}
		go p.follow(s.ID, words)
	case slices.Equal(running.words, words):
		running.next = nil
	default:
		running.next = words
	}
}

// follow runs the fallback command of a service, until the command has run for the newest state. It
// runs no command for a state that ended meanwhile.
func (p *programs) follow(id lvs.ServiceID, words []string) {
	for words != nil {
		p.run(context.Background(), words[0], words[1:]...)
		p.mu.Lock()
		words = p.fallbacks[id].next
		p.fallbacks[id] = &fallback{words: words}
		if words == nil {
			delete(p.fallbacks, id)
		}
		p.mu.Unlock()
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

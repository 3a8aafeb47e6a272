package directord

import (
	"context"
	"os"
	"slices"
	"sync"

	"lvs-agents/internal/config/load"
	"lvs-agents/internal/control"
	"lvs-agents/internal/disk"
)

// handedOn is a variable in the environment of an action that came from another instance, which
// names this one with execute=. It prevents loops, because instances can name each other.
const handedOn = "DIRECTORD_HANDED_ON"

// handedOn reports whether the action came from another instance.
func (c *command) handedOn() bool { return c.sys.getenv(handedOn) != "" }

// listens reports whether the socket of a running daemon exists. It does not exist while the
// daemon starts or ends.
func (c *command) listens() bool {
	_, err := os.Stat(control.Path(c.sys.StateDir, c.id()))
	return !os.IsNotExist(err)
}

// reached returns all configurations that the first one names with execute=, directly or through
// others. Each is there once, and the first is not.
func reached(ctx context.Context, files *disk.Reader, first string, names []string) []string {
	seen := map[string]bool{idOf(first): true}
	var all []string
	for len(names) > 0 {
		name := names[0]
		names = names[1:]
		if seen[idOf(name)] {
			continue
		}
		seen[idOf(name)] = true
		all = append(all, name)
		names = append(names[:len(names):len(names)], executes(ctx, files, name)...)
	}
	return all
}

// executes returns the names in execute= of a configuration; none if it cannot be used.
func executes(ctx context.Context, files *disk.Reader, name string) []string {
	file, err := load.File(ctx, files, name, append(load.Dirs(), ".")...)
	if err != nil || file.Config == nil {
		return nil
	}
	return file.Config.Execute
}

// executeAll hands an action to the instances that execute= names. wait returns when they have
// done it. Each instance hands start and stop on. A reload is not handed on, because it would
// return from an instance that names this one; so executeAll reloads all reached instances.
func (s *server) executeAll(ctx context.Context, action string) (wait func()) {
	var all sync.WaitGroup
	cfg := s.source.current()
	if cfg == nil || !s.purge {
		return all.Wait
	}
	names := cfg.Execute
	if action == "reload" {
		names = reached(ctx, &s.others, s.config, names)
	}
	self, err := os.Readlink(s.sys.Self)
	if err != nil {
		self = s.sys.Self
	}
	for _, name := range names {
		if idOf(name) != s.id {
			all.Go(func() { s.execute(context.WithoutCancel(ctx), self, name, action) })
		}
	}
	return all.Wait
}

// execute starts an instance that is not there to be reloaded.
func (s *server) execute(ctx context.Context, self, name, action string) {
	environ := append(slices.Clone(s.sys.Environ), handedOn+"=1")
	if action == "reload" {
		if s.programs.try(ctx, environ, []string{self, name, action}) == nil {
			return
		}
		action = "start"
	}
	if err := s.programs.try(ctx, environ, []string{self, name, action}); err != nil {
		s.log.Error(err)
	}
}

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

// handedOn is an environment variable. An instance sets it for the action that it runs on another
// instance, which its execute= names. The variable prevents loops, because two instances can name
// each other.
const handedOn = "DIRECTORD_HANDED_ON"

// handedOn reports whether another instance has started this action (see the constant handedOn).
func (c *command) handedOn() bool { return c.sys.getenv(handedOn) != "" }

// listens reports whether the socket of a running daemon exists. It does not exist at the beginning
// of a start and at the end of a stop.
func (c *command) listens() bool {
	_, err := os.Stat(control.Path(c.sys.StateDir, c.id()))
	return !os.IsNotExist(err)
}

// reached returns all configurations that the configuration first names with execute=, directly or
// through other configurations. The result has each configuration once and does not have first.
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

// executes returns the names in execute= of a configuration. It returns no names if the
// configuration cannot be used.
func executes(ctx context.Context, files *disk.Reader, name string) []string {
	file, err := load.File(ctx, files, name, append(load.Dirs(), ".")...)
	if err != nil || file.Config == nil {
		return nil
	}
	return file.Config.Execute
}

// executeAll runs an action on the instances that execute= names. The returned function wait
// returns when all of them have ended the action. For start and stop, each instance runs the action
// on the instances that it names itself. For a reload, executeAll reloads all reached instances
// itself, because two instances that name each other would reload each other without end.
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

// execute runs an action on another instance. If the reload of the instance fails, execute starts
// the instance.
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

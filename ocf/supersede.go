package ocf

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"lvs-agents/internal/process"
)

// Reasons to end another action of the same resource.
const (
	suspended = "is suspended"
	tooLate   = "is past its timeout"
	inTheWay  = "did not end"
)

// poll is the time between two checks of supersede whether another process has ended.
const poll = 10 * time.Millisecond

// supersede ends earlier actions of this resource that still run. A start that hangs in a write,
// for example, would continue after a stop and add again what the stop has removed. A start or
// reload ends only actions that are suspended or past their timeout. A stop also ends all other
// earlier actions, after a third of the timeout of the stop.
func (s *session) supersede(ctx context.Context) {
	if !s.proc.Supersede {
		return
	}
	earlier := s.earlier()
	if len(earlier) == 0 {
		return
	}
	grace := time.Duration(0)
	if s.action == "stop" {
		grace = s.env.timeout() / 3
	}
	began := time.Now()
	again := time.NewTicker(poll)
	defer again.Stop()
	killed := map[int]bool{}
	for ctx.Err() == nil && time.Since(began) < max(grace, s.env.timeout()/2) {
		waiting := false
		for _, other := range earlier {
			if other.Gone() {
				continue
			}
			why := s.overdue(other, time.Since(began) >= grace)
			if why != "" && !killed[other.PID] {
				s.log.Warnf("an earlier %s of this resource (process %d) %s; it gets KILL, so that it changes nothing after this %s",
					other.action, other.PID, why, s.action)
				other.Signal(unix.SIGKILL)
				killed[other.PID] = true
			}
			waiting = waiting || killed[other.PID] || s.action == "stop"
		}
		if !waiting {
			return
		}
		select {
		case <-again.C:
		case <-ctx.Done():
		}
	}
	for _, other := range earlier {
		if killed[other.PID] && !other.Gone() {
			s.log.Warnf("process %d, an earlier %s of this resource, has not ended after KILL, because it waits in the kernel", other.PID, other.action)
		}
	}
}

// overdue returns why another action must end now. It is empty if the action can continue.
func (s *session) overdue(other action, impatient bool) string {
	now := process.Of(other.PID)
	switch {
	case now.State == 'T' || s.action == "stop" && now.Stopped():
		return suspended
	case other.Age() > other.timeout:
		return tooLate
	case s.action == "stop" && impatient:
		return inTheWay
	}
	return ""
}

// action is another process that runs an action of this resource.
type action struct {
	process.Process

	action  string
	timeout time.Duration
}

// earlier returns the actions of this resource that began before this one. They run in the same
// network namespace, for the same user and with the same state directory.
func (s *session) earlier() []action {
	self := process.Self()
	here, place := self.Namespace(), s.env[StateDirVariable]
	var earlier []action
	acting := func(args []string) bool {
		name, _ := s.acts(args)
		return name != ""
	}
	for _, p := range process.Running(acting) {
		if p.PID == self.PID || !p.Before(self) || p.Owner() != os.Geteuid() {
			continue
		}
		name, instances := s.acts(p.Args())
		if name == "" || !p.In(here) {
			continue
		}
		env := newEnvironment(p.Environ())
		if instances == nil {
			instances = []string{env.instance()}
		}
		if env[StateDirVariable] == place && (slices.Contains(instances, s.call.Instance) || slices.Contains(instances, anyInstance)) {
			earlier = append(earlier, action{p, name, env.timeout()})
		}
	}
	return earlier
}

// anyInstance means all instances of a program.
const anyInstance = ""

// acts reads the command line of a process. name is the action that the process runs. It is empty
// if the process does not run an action of this program. instances are the resources in the command
// line. It is nil if the environment of the process names the resource.
func (s *session) acts(args []string) (name string, instances []string) {
	if len(args) < 2 || filepath.Base(args[0]) != s.name() {
		return "", nil
	}
	first, last := args[1], len(args)-1
	switch {
	case !isScript(args):
		name = first
	case slices.Contains(scriptActions(), first): // The process is the command lvsrs.
		name = first
		for _, file := range args[2:] {
			instances = append(instances, s.name()+"-"+file)
		}
		if len(instances) == 0 {
			instances = []string{anyInstance}
		}
	default:
		name, instances = args[last], []string{scriptInstance(s.name(), args[1:last])}
	}
	if !slices.Contains([]string{"start", "stop", "monitor", "status", "reload-agent"}, name) {
		return "", nil
	}
	return name, instances
}

package ocf

import (
	"bytes"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
)

// These exit codes of init scripts differ from the codes of OCF (LSB 5.0, init script actions).
// scriptUsage is for a wrong command line. scriptStopped is for the action status if the resource
// is stopped.
const (
	scriptUsage   = 2
	scriptStopped = 3
)

// InitScript runs start, stop or status like an init script: it writes no exit reason, and status
// has the exit code 0 for running and 3 for stopped. It also returns the state of the resource in
// a word: started, stopped, running or failed.
func InitScript(p Process, agent Agent) (word string, code int) {
	action := p.Args[1]
	if action == "status" { // Like a probe, status does not expect that the resource runs.
		p.Args = []string{p.Args[0], "monitor"}
	}
	p.Stderr = withoutReason{p.Stderr}
	result := Run(p, agent)
	switch {
	case result == Success || result == DegradedCode:
		return map[string]string{"start": "started", "stop": "stopped", "status": "running"}[action], 0
	case result == NotRunning && action == "status":
		return "stopped", scriptStopped
	}
	return "failed", int(result)
}

// withoutReason drops the exit reason, which only a cluster reads.
type withoutReason struct{ to io.Writer }

// Write writes p unless p begins with the prefix of an exit reason.
func (w withoutReason) Write(p []byte) (int, error) {
	if bytes.HasPrefix(p, []byte(newEnvironment(nil).reasonPrefix())) {
		return len(p), nil
	}
	return w.to.Write(p)
}

// isScript recognises the names of the scripts in heartbeat's resource.d, which
// are links to the agents: lvsvip, lvsipvs, lvshealth, lvsrs.
func isScript(args []string) bool {
	return len(args) > 0 && strings.HasPrefix(filepath.Base(args[0]), "lvs")
}

func scriptActions() []string { return []string{"start", "stop", "status"} }

// scriptInstance returns the name of a resource in the format of a line of haresources.
func scriptInstance(name string, args []string) string {
	return strings.Join(append([]string{name}, args...), "::")
}

// script runs an action for heartbeat's ResourceManager. The arguments of haresources come first,
// the action last. ResourceManager searches the output of status for the word running (or OK). It
// reboots the node if a stop has failed eleven times and status still prints running. So
// arguments that cannot be read are an error for start alone.
func script(p Process, agent Agent) int {
	name := filepath.Base(p.Args[0])
	last := len(p.Args) - 1
	action := p.Args[last]
	if last == 0 || !slices.Contains(scriptActions(), action) {
		fmt.Fprintf(p.Stderr, "usage: %s [%s [NAME=VALUE]...] start|stop|status\nA script for /etc/ha.d/haresources, where it is written %[1]s::%[2]s\n",
			name, strings.Join(agent.Metadata().Arguments, "/"))
		return scriptUsage
	}
	args := p.Args[1:last]
	given, refused := agent.Metadata().Haresources(args)
	word := scriptInstance(name, args)
	p.Args = []string{name, action}
	p.Environ = append(append(p.Environ, given...), "OCF_RESOURCE_INSTANCE="+word, "HA_LOGTAG="+word)
	p.refused = refused
	said, code := InitScript(p, agent)
	if action == "status" {
		fmt.Fprintln(p.Stdout, said)
	}
	return code
}

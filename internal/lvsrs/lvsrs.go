// Package lvsrs is the command lvsrs. On a host without a cluster, it makes the host a real server
// with the parameters in files, and undoes this. It runs the agent ocf:lvs:realserver as an init
// script would.
package lvsrs

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"lvs-agents/internal/disk"
	"lvs-agents/ocf"
)

// Dir is the directory with the parameters of real servers on a host without a cluster. Each file
// NAME.conf is one resource. Its lines name=value are the parameters of the agent.
const Dir = "/etc/lvsrs.d"

// The exit codes (LSB 5.0, init script actions).
const (
	exitFailed = 1
	exitUsage  = 2
)

func isAction(word string) bool { return slices.Contains([]string{"start", "stop", "status"}, word) }

// ByHeartbeat reports whether heartbeat has started the program. Heartbeat puts the action after
// the arguments.
func ByHeartbeat(args []string) bool {
	return len(args) > 1 && !isAction(args[0]) && isAction(args[len(args)-1])
}

// Command is one call of the program lvsrs.
type Command struct {
	ocf.Process
	Agent func() ocf.Agent // Agent returns a new agent for each file.
	Dir   string
}

// Run executes the command line. It returns the highest exit code of the actions for all files, or
// the exit code for wrong arguments.
func (c Command) Run(args []string) int {
	if c.Warning != nil {
		fmt.Fprintf(c.Stderr, "lvsrs: %v\n", c.Warning)
	}
	if len(args) == 0 || !isAction(args[0]) {
		fmt.Fprintln(c.Stderr, program.Usage())
		return exitUsage
	}
	names, err := c.names(args[1:])
	if err != nil {
		fmt.Fprintf(c.Stderr, "lvsrs: %v\n", err)
		return exitFailed
	}
	worst := 0
	for _, name := range names {
		worst = max(worst, c.act(args[0], name))
	}
	return worst
}

// names returns the names on the command line. Without names, it returns the names of all files in
// Dir.
func (c Command) names(given []string) ([]string, error) {
	for _, name := range given {
		if name == "" || name != filepath.Base(name) || strings.HasPrefix(name, ".") {
			return nil, fmt.Errorf("%q is not a name; give the name of a file in %s without .conf", name, c.Dir)
		}
	}
	if len(given) > 0 {
		return given, nil
	}
	files, err := filepath.Glob(filepath.Join(c.Dir, "*.conf"))
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("no file %s/*.conf; write one with a line like ip=192.0.2.10", c.Dir)
	}
	names := make([]string, 0, len(files))
	for _, file := range files {
		names = append(names, strings.TrimSuffix(filepath.Base(file), ".conf"))
	}
	return names, err
}

// act runs an action for one file. The actions stop and status do not need the file, because the
// agent reads the ledger, where start has written its changes.
func (c Command) act(action, name string) int {
	environ, err := parameters(filepath.Join(c.Dir, name+".conf"))
	if err != nil && action == "start" {
		fmt.Fprintf(c.Stderr, "lvsrs: %s: %v\n", name, err)
		return exitFailed
	}
	p := c.Process
	p.Args, p.Terminal, p.Warning = []string{"lvsrs", action}, true, nil
	p.Environ = append(environ, "OCF_RESOURCE_INSTANCE=lvsrs-"+name, "HA_LOGTAG=lvsrs: "+name)
	word, code := ocf.InitScript(p, c.Agent())
	if word != "failed" {
		fmt.Fprintf(c.Stdout, "%s: %s\n", name, word)
	}
	return code
}

// parameters reads a file and returns its parameters as environment variables of an OCF agent.
func parameters(file string) ([]string, error) {
	text, err := new(disk.Reader).Read(context.Background(), file)
	if err != nil {
		return nil, err
	}
	var environ []string
	var errs []error
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		if !ok {
			errs = append(errs, fmt.Errorf("%s:%d: %q is not name=value", file, n, line))
			continue
		}
		environ = append(environ, "OCF_RESKEY_"+strings.TrimSpace(name)+"="+strings.Trim(strings.TrimSpace(value), `"'`))
	}
	return environ, errors.Join(errs...)
}

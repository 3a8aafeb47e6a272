package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"lvs-agents/internal/disk"
	"lvs-agents/ocf"
)

// confDir is where the real servers of a host without a cluster are described,
// one file each: NAME.conf with lines name=value, as the agent's parameters.
const confDir = "/etc/lvsrs.d"

// Exit codes of a wrong call (LSB 5.0, init script actions).
const (
	exitFailed = 1
	exitUsage  = 2
)

func isAction(word string) bool { return slices.Contains([]string{"start", "stop", "status"}, word) }

// byHeartbeat tells a call as a script of heartbeat, which puts the action behind
// the arguments.
func byHeartbeat(args []string) bool {
	return len(args) > 1 && !isAction(args[0]) && isAction(args[len(args)-1])
}

// lvsrs is the command line of the agent for hosts without a cluster.
type lvsrs struct {
	agent          func() ocf.Agent
	dir            string
	stdout, stderr io.Writer
	root           bool
	stateDir       string
}

func (l lvsrs) run(args []string) int {
	if len(args) == 0 || !isAction(args[0]) {
		fmt.Fprintln(l.stderr, program.Usage())
		return exitUsage
	}
	names, err := l.names(args[1:])
	if err != nil {
		fmt.Fprintf(l.stderr, "lvsrs: %v\n", err)
		return exitFailed
	}
	worst := 0
	for _, name := range names {
		worst = max(worst, l.act(args[0], name))
	}
	return worst
}

// names are those given, or those of all files.
func (l lvsrs) names(given []string) ([]string, error) {
	for _, name := range given {
		if name == "" || name != filepath.Base(name) || strings.HasPrefix(name, ".") {
			return nil, fmt.Errorf("%q is not a name; give the name of a file in %s without .conf", name, l.dir)
		}
	}
	if len(given) > 0 {
		return given, nil
	}
	files, err := filepath.Glob(filepath.Join(l.dir, "*.conf"))
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("no file %s/*.conf; write one with a line like ip=192.0.2.10", l.dir)
	}
	names := make([]string, 0, len(files))
	for _, file := range files {
		names = append(names, strings.TrimSuffix(filepath.Base(file), ".conf"))
	}
	return names, err
}

// act runs an action for one file. Stop and status need none: what was done is
// noted elsewhere.
func (l lvsrs) act(action, name string) int {
	environ, err := parameters(filepath.Join(l.dir, name+".conf"))
	if err != nil && action == "start" {
		fmt.Fprintf(l.stderr, "lvsrs: %s: %v\n", name, err)
		return exitFailed
	}
	word, code := ocf.InitScript(ocf.Process{
		Args: []string{"lvsrs", action}, Root: l.root, StateDir: l.stateDir,
		Environ: append(environ, "OCF_RESOURCE_INSTANCE=lvsrs-"+name, "HA_LOGTAG=lvsrs: "+name),
		Stdout:  l.stdout, Stderr: l.stderr, Terminal: true, Supersede: true,
	}, l.agent())
	if word != "failed" {
		fmt.Fprintf(l.stdout, "%s: %s\n", name, word)
	}
	return code
}

// parameters reads a file as the environment of an OCF agent.
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

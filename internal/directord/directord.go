// Package directord is the health daemon directord: the actions of its command line, and the daemon
// that they start. The daemon connects the engine of package health with files, signals, mail,
// programs and systemd. The log lines and files of ldirectord are in package compat.
package directord

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"syscall"

	"lvs-agents/internal/config"
	"lvs-agents/internal/control"
	"lvs-agents/internal/directord/compat"
	"lvs-agents/internal/disk"
	"lvs-agents/internal/health"
	"lvs-agents/internal/lvs"
	"lvs-agents/internal/state/record"
)

// System holds what the program uses of its environment.
type System struct {
	Stdout, Stderr io.Writer
	// Environ has the environment variables of this program and of the programs that it runs.
	Environ    []string
	Self       string // Self is the path of this program.
	Version    string
	StateDir   string
	PIDDir     string // PIDDir is the directory of the pid file that has the name of ldirectord's pid file.
	PerlPIDDir string // PerlPIDDir is the directory of the pid files of the Perl program.
	Files      *disk.Reader
	Resolver   Resolver
	Kernel     record.Kernel
	// PathFault returns why this host cannot send packets to an address, or an empty text.
	PathFault func(context.Context, netip.Addr) (string, error)
	// Waiting reads the clients of destinations that will leave the table.
	Waiting func(ctx context.Context, destinations []lvs.Op) (health.Waiting, error)
	// Counters reads the connections of all destinations.
	Counters func(context.Context) ([]lvs.Counters, error)
	// Sysctl returns the value of net.ipv4.vs.NAME, or an empty text if the kernel does not have it.
	Sysctl func(name string) string
}

// Resolver looks up the addresses of names and the names of addresses.
type Resolver interface {
	config.Resolver
	LookupAddr(ctx context.Context, addr string) (names []string, err error)
}

// getenv returns the value of an environment variable, or an empty text if the variable is not set.
func (s System) getenv(name string) string {
	for _, variable := range s.Environ {
		if value, found := strings.CutPrefix(variable, name+"="); found {
			return value
		}
	}
	return ""
}

// Ended is the cause in the context of Run after a signal has ended the program.
type Ended struct{ By syscall.Signal }

// Error returns the name that ldirectord logs for the signal.
func (e Ended) Error() string {
	names := map[syscall.Signal]string{syscall.SIGINT: "INT", syscall.SIGTERM: "TERM", syscall.SIGQUIT: "QUIT"}
	return names[e.By]
}

// serveVerb is the argument that makes the program the daemon. The program and the health agent
// start the daemon with this argument. Operators do not use it.
const serveVerb = control.ServeVerb

// daemonWords is the number of words before serveVerb in the command line of a daemon that this
// program has started. They are the program, the configuration and "start". The agent
// ocf:heartbeat:ldirectord searches for these words.
const daemonWords = 3

// Run runs the program and returns its exit code. The first of args is the name of the program.
func Run(ctx context.Context, args []string, sys System) int {
	if i := slices.Index(args, serveVerb); i == 1 || i == daemonWords {
		return serve(ctx, args[i+1:], sys)
	}
	parsed, err := compat.ParseCommand(args)
	switch {
	case err != nil:
		fmt.Fprintf(sys.Stderr, "directord: %v\n%s\n", err, compat.Program.Usage())
		return compat.ExitUsage
	case parsed.Help:
		fmt.Fprintln(sys.Stdout, compat.Program.Usage())
		return compat.ExitOK
	case parsed.Version:
		fmt.Fprintln(sys.Stdout, "directord", sys.Version)
		return compat.ExitOK
	}
	c := command{Command: parsed, sys: sys}
	return c.run(ctx)
}

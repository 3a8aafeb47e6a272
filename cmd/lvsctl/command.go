package main

import (
	"context"
	"fmt"
	"io"
	"runtime/debug"

	"github.com/alecthomas/kong"

	"lvs-agents/internal/config"
	"lvs-agents/internal/doctor"
	"lvs-agents/internal/host"
	"lvs-agents/internal/lvs"
)

// Exit codes of lvsctl.
const (
	exitOK     = 0
	exitFailed = 1 // the answer is no, or there is none; messages say why
	exitUsage  = 2
)

// system is what a command may touch outside of itself.
type system struct {
	stdout, stderr io.Writer
	dirs           []string // where relative file names are looked up
	resolver       config.Resolver
	kernel         kernel
	version        string
	stateDir       string // of agents and daemons
	doctor         examiner
	director       director
	helper         []string // reads files, see disk.Reader
}

// examiner finds out what is wrong with a real server.
type examiner interface {
	Examine(context.Context, []host.Setting) ([]doctor.Finding, error)
}

// director is this host as one that balances.
type director interface {
	doctor.Director
	// Directs reports whether it balances anything.
	Directs() bool
}

// kernel is the IPVS table of this network namespace.
type kernel interface {
	Table(ctx context.Context) (lvs.Table, error)
}

// commands is the command line.
type commands struct {
	Check struct {
		Files []string `arg:"" name:"file" help:"Configuration files; a relative name that does not exist here is looked up in /etc/ha.d."`
	} `cmd:"" help:"Tell whether configuration files can be used, and what is wrong with them."`
	Plan struct {
		File    string `arg:"" help:"Configuration file."`
		Against string `placeholder:"SAVED" help:"Compare with a file that holds the output of ipvsadm -Sn instead of with the kernel."`
	} `cmd:"" help:"Print the ipvsadm commands that would make the kernel hold the services of the file."`
	Status struct {
		JSON bool `help:"Print it for programs." name:"json"`
	} `cmd:"" help:"Print the services of the health daemons on this node, with the verdict on every real server."`
	Doctor struct {
		IPs    []string `arg:"" optional:"" name:"ip" help:"Virtual addresses; when none are given, those that ocf:lvs:realserver or lvsrs has set up here."`
		Tunnel bool     `help:"The addresses come through tunnels (ipip)."`
	} `cmd:"" help:"Report what is wrong with this real server, or with this director if its servers are masq. Packets prove that a real server neither answers for the virtual addresses nor announces them."`
	Version struct{} `cmd:"" help:"Print the version."`
}

// run is the whole program; it returns the exit code.
func run(ctx context.Context, args []string, sys system) int {
	var line commands
	helped := false
	parser, err := newParser(&line, kong.Writers(sys.stdout, sys.stderr), kong.Exit(func(int) { helped = true }))
	if err != nil {
		return failed(sys, err)
	}
	selected, err := parser.Parse(args)
	switch {
	case helped:
		return exitOK
	case err != nil:
		fmt.Fprintf(sys.stderr, "lvsctl: %v; see lvsctl --help\n", err)
		return exitUsage
	}
	switch selected.Selected().Name {
	case "check":
		return check(ctx, sys, line.Check.Files)
	case "plan":
		return plan(ctx, sys, line.Plan.File, line.Plan.Against)
	case "status":
		return status(ctx, sys, line.Status.JSON)
	case "doctor":
		return examine(ctx, sys, line.Doctor.IPs, line.Doctor.Tunnel)
	}
	fmt.Fprintln(sys.stdout, "lvsctl", versionOf(sys.version))
	return exitOK
}

func newParser(line *commands, options ...kong.Option) (*kong.Kong, error) {
	return kong.New(line, append(options, kong.Name("lvsctl"), kong.Description("Check and explain the configuration of virtual services."))...)
}

func failed(sys system, err error) int {
	fmt.Fprintf(sys.stderr, "lvsctl: %v\n", err)
	return exitFailed
}

// versionOf falls back to what the go command recorded.
func versionOf(set string) string {
	if set != "" {
		return set
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}

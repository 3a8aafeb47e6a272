package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"lvs-agents/internal/config"
	"lvs-agents/internal/doctor"
	"lvs-agents/internal/host"
	"lvs-agents/internal/lvs"
	"lvs-agents/internal/top"
)

// The exit codes of lvsctl.
const (
	exitOK     = 0
	exitFailed = 1 // exitFailed: the result is negative or unknown. The output has the reason.
	exitUsage  = 2
	// exitTimeout: the command wait has not found the state within its time.
	exitTimeout = 3
)

// system holds everything outside of the program that a command can use.
type system struct {
	stdout, stderr io.Writer
	colour         bool     // colour says that stdout is a terminal that shows colours.
	dirs           []string // dirs are the directories where relative file names are looked up.
	resolver       config.Resolver
	kernel         kernel
	version        string
	host           string // host is the name of this node, as uname -n prints it.
	stateDir       string // stateDir is the directory with the state of agents and daemons.
	doctor         examiner
	director       director
	node           node
	capable        doctor.Capable
	attributes     attributes
	memory         memory
	// listen returns the hosts that send connections to a backup daemon. It listens for seconds.
	listen func(ctx context.Context, backup lvs.SyncDaemon, ports int) ([]lvs.SyncSender, error)
	// output runs a program that changes nothing, and returns its standard output.
	output  func(ctx context.Context, name string, args ...string) (string, error)
	cluster cluster
	dataDir string                                          // dataDir keeps files across reboots.
	spawn   func(ctx context.Context, args ...string) error // spawn starts lvsctl with args as a daemon.
	now     func() time.Time
	// view shows a live view. It is nil if the standard input or output is not a terminal.
	view   func(context.Context, top.Source) error
	stdin  io.Reader // stdin is nil if the standard input is not a terminal.
	helper []string  // helper is the command that reads files (see disk.Reader).
	// resync sends the connections of this director to the other directors.
	resync func(ctx context.Context, all, dry bool) (fmt.Stringer, error)
}

// examiner finds the faults of this host as a real server.
type examiner interface {
	Examine(context.Context, []host.Setting) ([]doctor.Finding, error)
}

// director reads whether this host works as a director.
type director interface {
	doctor.Director
	// Directs reports whether the host balances connections.
	Directs() bool
	// Balances reports whether the host balances connections to the address.
	Balances(ip netip.Addr) bool
	// Get returns the value of a sysctl.
	Get(context.Context, host.Setting) (string, error)
	doctor.SyncHost
	doctor.Roads
}

// attributes reads attributes of the nodes of a cluster.
type attributes interface {
	All(ctx context.Context, name string) (map[string]string, error)
}

// kernel reads the IPVS table of this network namespace.
type kernel interface {
	Table(ctx context.Context) (lvs.Table, error)
	// Counters returns the connections and rates of all destinations.
	Counters(ctx context.Context) ([]lvs.Counters, error)
}

// commands describes the command line. The method Run of each command is in a separate file.
type commands struct {
	Status  statusCommand  `cmd:"" group:"Show:" default:"1" help:"Print the services of the health daemons on this node, with the verdict on every real server. The weight 5/1 means that the real server has the weight 5, and that 1 is configured. Since is how long the verdict has lasted. Also print which interface of this node has each virtual address, and which neighbours have confirmed the addresses of vip resources."`
	Top     topCommand     `cmd:"" group:"Show:" help:"Show the services of the health daemons on this node in the terminal, each second, with the verdicts, connections and rates. The key ? shows all keys. Keys can sort and filter the list, explain a real server, and give orders after the key !."`
	Explain explainCommand `cmd:"" group:"Show:" help:"Print why the real servers of a virtual service have their weights. The output has the last checks with the time of each phase, the expected and the received reply, and the rule that decided. It also has the claim, the weights in the kernel, and the pending commands."`
	Events  eventsCommand  `cmd:"" group:"Show:" help:"Print the events that the health daemons on this node have kept since the boot. Events are changes of verdicts, weights and configurations, repairs of the table and take-overs."`
	Doctor  doctorCommand  `cmd:"" group:"Show:" help:"Report the faults of this real server, or of this director. Examples are masq servers whose replies are lost, synchronisation daemons that other hosts can reach, and hash tables that differ from those on another director. It also reports hosts with another syncid, and directors that lack connections. On a director it also examines the cluster, the firewall and the clock: see docs/doctor.md. Its answer takes less than 10 seconds. Test packets show whether a real server replies to queries for the virtual addresses, or announces them."`
	Diff    diffCommand    `cmd:"" group:"Show:" help:"Print how the running cluster, and the IPVS table of this node, differ from configuration files."`
	Show    showCommand    `cmd:"" group:"Show:" help:"Print the resources of lvs-agents in the running cluster, or the IPVS table of this node."`

	Drain   drainCommand   `cmd:"" group:"Orders for real servers:" help:"Give real servers no new connections. Their open connections continue."`
	Maint   maintCommand   `cmd:"" group:"Orders for real servers:" help:"Do the same as drain, and mark the real servers as in maintenance."`
	Weight  weightCommand  `cmd:"" group:"Orders for real servers:" help:"Replace the configured weight of a real server."`
	Add     addCommand     `cmd:"" group:"Orders for real servers:" help:"Add a real server that the configuration does not have. It gets the checks of the service, and connections after these checks pass. lvsctl remove ends this."`
	Remove  removeCommand  `cmd:"" group:"Orders for real servers:" help:"Take a real server out of the table of the kernel. Its checks continue, and lvsctl ready ends the order. A real server of lvsctl add leaves for good, with its checks."`
	Undrain undrainCommand `cmd:"" group:"Orders for real servers:" help:"End drain, maint or remove of real servers."`
	Ready   readyCommand   `cmd:"" group:"Orders for real servers:" help:"End all orders for real servers."`
	Wait    waitCommand    `cmd:"" group:"Orders for real servers:" help:"Wait until real servers are drained, up, full or down. The exit code is 0 when all of them have this state, 3 after the timeout, and 1 for an unknown name."`

	Check   checkCommand   `cmd:"" group:"Configuration:" help:"Report whether configuration files can be used, with their errors and warnings."`
	Plan    planCommand    `cmd:"" group:"Configuration:" help:"Print the ipvsadm commands that change the kernel's table to the services of a file."`
	Convert convertCommand `cmd:"" group:"Configuration:" help:"Convert configuration files to the configuration of a cluster, or to another file. Standard error gets the repairs of damaged text, the parts without an equivalent, and the remaining tasks."`
	Apply   applyCommand   `cmd:"" group:"Configuration:" help:"Change the running cluster to the configuration of files. Print the changes and the actions that the cluster will run, and change the cluster after the answer yes. Only resources of an earlier apply, and resources with the same names, change."`
	Confirm confirmCommand `cmd:"" group:"Configuration:" help:"Keep the change of lvsctl apply --confirm-within."`
	Undo    undoCommand    `cmd:"" group:"Configuration:" help:"Put back the resources as they were before the last lvsctl apply on this node."`

	Resync  resyncCommand  `cmd:"" group:"Others:" help:"Send the connections that this director serves to the other directors, through the running master synchronisation daemon's group. The kernel sends only connections whose packets move."`
	Serve   serveCommand   `cmd:"" group:"Others:" help:"Serve a status page of the health daemons on this node, and their state and the counters of IPVS as metrics for Prometheus. It needs no privileges: see docs/monitoring.md."`
	Report  reportCommand  `cmd:"" group:"Others:" help:"Write an archive for the report of a bug: the state, the table, the cluster, the settings of the host, configurations and logs, without passwords."`
	Version versionCommand `cmd:"" group:"Others:" help:"Print the version."`
}

// errNo is the error of a command that has already printed the reason of its failure.
var errNo = errors.New("no")

// run executes the command line and returns the exit code of the program.
func run(ctx context.Context, args []string, sys system) int {
	helped := false
	parser, err := newParser(&commands{}, kong.Writers(sys.stdout, sys.stderr), kong.Exit(func(int) { helped = true }),
		kong.BindTo(ctx, (*context.Context)(nil)), kong.Bind(sys))
	if err != nil {
		return failed(sys, err)
	}
	selected, err := parser.Parse(withServices(args))
	switch {
	case helped:
		return exitOK
	case err != nil:
		fmt.Fprintf(sys.stderr, "lvsctl: %v; see lvsctl --help\n", err)
		return exitUsage
	}
	switch err := selected.Run(); {
	case errors.Is(err, errNo):
		return exitFailed
	case errors.Is(err, errTimeout):
		failed(sys, err)
		return exitTimeout
	case err != nil:
		return failed(sys, err)
	}
	return exitOK
}

func newParser(line *commands, options ...kong.Option) (*kong.Kong, error) {
	return kong.New(line, append(options, kong.Name("lvsctl"),
		kong.Description("Show and control the virtual services of a director, and configure its cluster."),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}), kong.PostBuild(shorten))...)
}

// shorten leaves the first sentence in the help of each command. lvsctl --help shows this sentence,
// and the help of the command also shows the rest.
func shorten(k *kong.Kong) error {
	for _, command := range k.Model.Leaves(false) {
		if first, rest, found := strings.Cut(command.Help, ". "); found {
			command.Help, command.Detail = first+".", rest
		}
	}
	return nil
}

// failed prints an error and returns the exit code of a failure.
func failed(sys system, err error) int {
	fmt.Fprintf(sys.stderr, "lvsctl: %v\n", err)
	return exitFailed
}

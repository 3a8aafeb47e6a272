// Directord is the health daemon of an LVS director. It checks real servers, so that only good real
// servers get new connections. It has the command line of ldirectord.
package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/signal"
	"syscall"

	"lvs-agents/internal/directord"
	"lvs-agents/internal/directord/compat"
	"lvs-agents/internal/disk"
	"lvs-agents/internal/health"
	"lvs-agents/internal/kernel/capability"
	"lvs-agents/internal/kernel/ipvs"
	"lvs-agents/internal/kernel/link"
	"lvs-agents/internal/kernel/reset"
	"lvs-agents/internal/kernel/resync"
	"lvs-agents/internal/lvs"
	"lvs-agents/internal/manual"
	"lvs-agents/ocf"
)

// version is the version of the program. The Makefile sets it.
var version string

func main() {
	if code, done := disk.Help(os.Args, os.Stdout); done {
		os.Exit(code)
	}
	ctx, end := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT)
	// The program catches these signals and ignores them. With signal.Ignore, the programs that
	// directord starts would also ignore these signals.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE, syscall.SIGUSR1, syscall.SIGUSR2)
	go func() { end(directord.Ended{By: (<-signals).(syscall.Signal)}) }()
	dir, warning := ocf.StateDir()
	if warning != nil {
		fmt.Fprintf(os.Stderr, "directord: %v\n", warning)
	}
	kernel := ipvs.New()
	code := directord.Run(ctx, os.Args, directord.System{
		Stdout: os.Stdout, Stderr: os.Stderr, Environ: os.Environ(),
		Self: "/proc/self/exe", Version: manual.Version(version),
		StateDir: dir, PIDDir: compat.PIDDir(dir), PerlPIDDir: compat.PerlPIDDir,
		Files:    &disk.Reader{Helper: disk.SelfHelper()},
		Resolver: net.DefaultResolver, Kernel: kernel, Counters: kernel.Counters, PathFault: link.PathFault,
		Waiting: func(ctx context.Context, destinations []lvs.Op) (health.Waiting, error) {
			return reset.Read(ctx, resync.Table{}, destinations)
		},
		Sysctl: func(name string) string { return capability.New().Sysctl(name).Value },
	})
	_ = kernel.Close() // Close is not necessary: the kernel closes the sockets when the program ends.
	os.Exit(code)
}

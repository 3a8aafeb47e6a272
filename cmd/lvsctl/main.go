// Command lvsctl shows an administrator the state of this node. It checks configuration files,
// plans changes, and shows the state of health daemons and the faults of this host.
package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"lvs-agents/crm/cib"
	"lvs-agents/internal/attribute"
	"lvs-agents/internal/config/load"
	"lvs-agents/internal/disk"
	"lvs-agents/internal/doctor"
	"lvs-agents/internal/kernel/capability"
	"lvs-agents/internal/kernel/ipvs"
	"lvs-agents/internal/kernel/resync"
	"lvs-agents/internal/kernel/setting"
	"lvs-agents/internal/kernel/wire"
	"lvs-agents/internal/manual"
	"lvs-agents/internal/process"
	"lvs-agents/internal/top"
	"lvs-agents/ocf"
)

// version is the version of the program. The linker sets it (-X main.version=…).
var version string

func main() {
	if code, done := disk.Help(os.Args, os.Stdout); done {
		os.Exit(code)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A write to a terminal or a pipe can block after the end of ctx, so the program exits one
	// second later.
	context.AfterFunc(ctx, func() { time.AfterFunc(time.Second, func() { os.Exit(exitFailed) }) })
	kernel := ipvs.New()
	dir, warning := ocf.StateDir()
	if warning != nil {
		fmt.Fprintf(os.Stderr, "lvsctl: %v\n", warning)
	}
	host, _ := os.Hostname() // The system call cannot fail.
	here := server{setting.New(dir), wire.Kernel{}, kernel}
	code := run(ctx, os.Args[1:], system{
		stdout: os.Stdout, stderr: os.Stderr, colour: coloured(),
		dirs: append([]string{"."}, load.Dirs()...), resolver: net.DefaultResolver, kernel: kernel, version: manual.Version(version), host: host,
		stateDir: dir, helper: disk.SelfHelper(),
		doctor: doctor.Examiner{Kernel: here}, director: here, node: thisNode{}, capable: capability.New(), attributes: attribute.Node{}, memory: attribute.Node{}, listen: resync.Listen, output: cib.Output,
		resync: resyncs(kernel, dir), cluster: cib.Cluster{}, dataDir: "/var/lib/lvs-agents", now: time.Now, stdin: terminal(), view: viewer(),
		spawn: func(ctx context.Context, args ...string) error {
			return process.Spawn(ctx, "/proc/self/exe", append([]string{"lvsctl"}, args...), os.Environ())
		},
	})
	_ = kernel.Close() // The program has only read from the kernel, so an error does not matter.
	stop()
	os.Exit(code)
}

// coloured reports whether the standard output is a terminal that shows colours. A variable
// NO_COLOR with any value turns colours off (no-color.org).
func coloured() bool { return capable() && os.Getenv("NO_COLOR") == "" }

// capable reports whether the standard output is a terminal that can move its cursor.
func capable() bool {
	_, err := unix.IoctlGetTermios(int(os.Stdout.Fd()), unix.TCGETS)
	return err == nil && os.Getenv("TERM") != "dumb"
}

// viewer returns the live view for the terminal, or nil if the program has none.
func viewer() func(context.Context, top.Source) error {
	if terminal() == nil || !capable() {
		return nil
	}
	return func(ctx context.Context, s top.Source) error { return top.Run(ctx, s, os.Stdin, os.Stdout) }
}

// terminal returns the standard input if it is a terminal, otherwise nil.
func terminal() io.Reader {
	if _, err := unix.IoctlGetTermios(int(os.Stdin.Fd()), unix.TCGETS); err != nil {
		return nil
	}
	return os.Stdin
}

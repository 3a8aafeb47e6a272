// Command lvsctl is the administrator's view of lvs-agents: it checks
// configuration files and shows what the resource agents would do.
package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"lvs-agents/internal/config/load"
	"lvs-agents/internal/disk"
	"lvs-agents/internal/doctor"
	"lvs-agents/internal/kernel/ipvs"
	"lvs-agents/internal/kernel/setting"
	"lvs-agents/internal/kernel/wire"
	"lvs-agents/ocf"
)

// version is set by the linker (-X main.version=…).
var version string

func main() {
	if len(os.Args) == 3 && os.Args[1] == disk.HelperVerb {
		if disk.Print(os.Stdout, os.Args[2]) != nil {
			os.Exit(exitFailed)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// What waits for a terminal or a pipe does not look at ctx.
	context.AfterFunc(ctx, func() { time.AfterFunc(time.Second, func() { os.Exit(exitFailed) }) })
	kernel := ipvs.New()
	dir, warning := ocf.StateDir()
	if warning != nil {
		fmt.Fprintf(os.Stderr, "lvsctl: %v\n", warning)
	}
	here := server{setting.New(dir), wire.Kernel{}, kernel}
	code := run(ctx, os.Args[1:], system{
		stdout: os.Stdout, stderr: os.Stderr,
		dirs: append([]string{"."}, load.Dirs()...), resolver: net.DefaultResolver, kernel: kernel, version: version,
		stateDir: dir, helper: disk.SelfHelper(),
		doctor: doctor.Examiner{Kernel: here}, director: here,
	})
	_ = kernel.Close() // it was only read
	stop()
	os.Exit(code)
}

// server is what a real server or a director consists of.
type (
	server struct {
		settings
		wire.Kernel
		forwarder
	}
	settings = setting.Kernel
	// forwarder is the IPVS kernel, whose table the doctor does not read: that would load
	// the module.
	forwarder interface{ Forwards(v6 bool) bool }
)

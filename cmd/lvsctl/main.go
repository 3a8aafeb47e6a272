// Command lvsctl is the administrator's view of lvs-agents: it checks
// configuration files and shows what the resource agents would do.
package main

import (
	"context"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"lvs-agents/internal/config"
	"lvs-agents/internal/doctor"
	"lvs-agents/internal/kernel/ipvs"
	"lvs-agents/internal/kernel/link"
	"lvs-agents/internal/kernel/setting"
	"lvs-agents/internal/kernel/wire"
	"lvs-agents/ocf"
)

// version is set by the linker (-X main.version=…).
var version string

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	kernel := ipvs.New()
	code := run(ctx, os.Args[1:], system{
		stdout: os.Stdout, stderr: os.Stderr,
		dirs: append([]string{"."}, config.Dirs()...), resolver: net.DefaultResolver, kernel: kernel, version: version,
		stateDir: stateDir(),
		doctor:   doctor.Examiner{Kernel: server{settings{}, link.New(ocf.DefaultStateDir), wire.Kernel{}}},
	})
	_ = kernel.Close() // it was only read
	stop()
	os.Exit(code)
}

// server is what a real server consists of.
type (
	server struct {
		settings
		*links
		wire.Kernel
	}
	settings = setting.Kernel
	links    = link.Kernel
)

// stateDir is where the agents keep theirs.
func stateDir() string {
	if dir := os.Getenv("HA_RSCTMP"); filepath.IsAbs(dir) {
		return filepath.Join(dir, filepath.Base(ocf.DefaultStateDir))
	}
	return ocf.DefaultStateDir
}

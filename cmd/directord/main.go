// Directord is the health daemon of an LVS director: it checks real servers and
// lets only good ones have new connections. Its command line is ldirectord's.
package main

import (
	"context"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"syscall"

	"lvs-agents/ocf"
)

// version is set by the Makefile.
var version string

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGQUIT)
	code := run(ctx, os.Args[1:], host{
		stdout: os.Stdout, stderr: os.Stderr, stateDir: stateDir(), self: "/proc/self/exe", version: versionOf(version),
	})
	stop()
	os.Exit(code)
}

// stateDir is where the agents keep theirs, so that both see each other's records.
func stateDir() string {
	if dir := os.Getenv("HA_RSCTMP"); filepath.IsAbs(dir) {
		return filepath.Join(dir, filepath.Base(ocf.DefaultStateDir))
	}
	return ocf.DefaultStateDir
}

// versionOf falls back to what the go command recorded.
func versionOf(set string) string {
	if info, ok := debug.ReadBuildInfo(); set == "" && ok {
		return info.Main.Version
	}
	return set
}

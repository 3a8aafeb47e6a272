// Directord is the health daemon of an LVS director: it checks real servers and
// lets only good ones have new connections. Its command line is ldirectord's.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"

	"lvs-agents/internal/disk"
	"lvs-agents/ocf"
)

// version is set by the Makefile.
var version string

func main() {
	if len(os.Args) == 3 && os.Args[1] == disk.HelperVerb {
		if disk.Print(os.Stdout, os.Args[2]) != nil {
			os.Exit(exitFailed)
		}
		return
	}
	ctx, end := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT)
	// Taken and dropped: to ignore them would make programs that we run ignore them, too.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE, syscall.SIGUSR1, syscall.SIGUSR2)
	go func() { end(ended{(<-signals).(syscall.Signal)}) }()
	dir, warning := ocf.StateDir()
	if warning != nil {
		fmt.Fprintf(os.Stderr, "directord: %v\n", warning)
	}
	os.Exit(run(ctx, os.Args, host{
		stdout: os.Stdout, stderr: os.Stderr, stateDir: dir,
		pidDir: pidDir(dir), perlDir: "/run", self: "/proc/self/exe", version: versionOf(version), files: &disk.Reader{Helper: disk.SelfHelper()},
		handedOn: os.Getenv(handedOn) != "",
	}))
}

// ended is why the program ends.
type ended struct{ by syscall.Signal }

func (e ended) Error() string {
	names := map[syscall.Signal]string{syscall.SIGINT: "INT", syscall.SIGTERM: "TERM", syscall.SIGQUIT: "QUIT"}
	return names[e.by]
}

// pidDir is ldirectord's for the state directory of the system. Another state
// directory, that of another network namespace for one, has such files itself.
func pidDir(state string) string {
	if state == "/run/lvs-agents" {
		return "/run"
	}
	if strings.HasPrefix(filepath.Base(state), "netns-") {
		return state
	}
	return filepath.Dir(state)
}

// versionOf falls back to what the go command recorded.
func versionOf(set string) string {
	if info, ok := debug.ReadBuildInfo(); set == "" && ok {
		return info.Main.Version
	}
	return set
}

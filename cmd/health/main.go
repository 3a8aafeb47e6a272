// Health is the resource agent ocf:lvs:health: it supervises the health daemon
// directord of a director.
package main

import (
	"context"
	"os"
	"path/filepath"

	"lvs-agents/agents/health"
	"lvs-agents/internal/daemon"
	"lvs-agents/internal/kernel/ipvs"
	"lvs-agents/ocf"
)

func main() {
	ocf.Begin()
	ocf.Main(health.New(ipvs.New(), launcher{}))
}

// launcher starts the directord beside this program, as in a build directory,
// or the installed one.
type launcher struct{}

const installed = "/usr/sbin/directord"

func (launcher) Launch(ctx context.Context, args []string) error {
	path := installed
	if self, err := os.Executable(); err == nil {
		beside := filepath.Join(filepath.Dir(self), "directord")
		if _, err := os.Stat(beside); err == nil {
			path = beside
		}
	}
	return daemon.Spawn(ctx, path, append([]string{path}, args...), []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"})
}

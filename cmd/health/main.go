// updatemaxprocs=0: Go does not read the CPU limit of the process again and again, because an agent
// runs only for a moment (docs/adr/0068-start-up-of-an-agent.md).
//
//go:debug updatemaxprocs=0

// Health is the resource agent ocf:lvs:health. It starts, stops and monitors the health daemon
// directord of a director.
package main

import (
	"context"
	"os"

	"lvs-agents/agents/health"
	"lvs-agents/internal/attribute"
	"lvs-agents/internal/kernel/ipvs"
	"lvs-agents/internal/process"
	"lvs-agents/ocf"
)

func main() {
	ocf.Main(ocf.Begin(), health.New(ipvs.New(), launcher{}, attribute.Node{}))
}

// launcher starts the program directord in the directory of this program, for example a build
// directory. If that directory has no directord, it starts the installed program.
type launcher struct{}

const installed = "/usr/sbin/directord"

func (launcher) Launch(ctx context.Context, args []string) error {
	path := process.Beside("/proc/self/exe", "directord")
	if _, err := os.Stat(path); err != nil {
		path = installed
	}
	return process.Spawn(ctx, path, append([]string{path}, args...), []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"})
}

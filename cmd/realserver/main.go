// updatemaxprocs=0: Go does not read the CPU limit of the process again and again, because an agent
// runs only for a moment (docs/adr/0068-start-up-of-an-agent.md).
//
//go:debug updatemaxprocs=0

// Realserver is the resource agent ocf:lvs:realserver. If the program is called lvsrs, it is the
// command for hosts without a cluster, or a script for heartbeat.
package main

import (
	"os"
	"path/filepath"

	"lvs-agents/agents/realserver"
	"lvs-agents/internal/doctor"
	"lvs-agents/internal/kernel/setting"
	"lvs-agents/internal/kernel/wire"
	"lvs-agents/internal/lvsrs"
	"lvs-agents/ocf"
)

// kernel reads and changes the settings and addresses of this host. It also has the probe, which
// sends packets to this host as a neighbour would.
type (
	kernel struct {
		settings
		wire.Kernel
	}
	settings = setting.Kernel
)

func main() {
	p := ocf.Begin()
	k := kernel{setting.New(p.StateDir), wire.Kernel{}}
	fresh := func() ocf.Agent { return realserver.New(k, doctor.Examiner{Kernel: k}) }
	if filepath.Base(os.Args[0]) == "lvsrs" && !lvsrs.ByHeartbeat(os.Args[1:]) {
		os.Exit(lvsrs.Command{Process: p, Agent: fresh, Dir: lvsrs.Dir}.Run(os.Args[1:]))
	}
	ocf.Main(p, fresh())
}

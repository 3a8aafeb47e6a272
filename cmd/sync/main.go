// updatemaxprocs=0: Go does not read the CPU limit of the process again and again, because an agent
// runs only for a moment (docs/adr/0068-start-up-of-an-agent.md).
//
//go:debug updatemaxprocs=0

// Sync is the resource agent ocf:lvs:sync. Its resource is the synchronisation daemons of IPVS on a
// director.
package main

import (
	"os"

	"lvs-agents/agents/sync"
	"lvs-agents/internal/attribute"
	kernel "lvs-agents/internal/kernel/ipvs"
	"lvs-agents/internal/kernel/setting"
	"lvs-agents/ocf"
)

// director reads and changes sysctls, interfaces and IPVS.
type director struct {
	setting.Kernel
	*ipvs
}

type ipvs = kernel.Kernel

func main() {
	p := ocf.Begin()
	if len(os.Args) > 1 && (os.Args[1] == verbResync || os.Args[1] == verbMeasure) {
		work(p, os.Args[1:])
		return
	}
	ocf.Main(p, sync.New(director{setting.New(p.StateDir), kernel.New()}, spawner{}, attribute.Node{}))
}

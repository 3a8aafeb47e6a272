// An agent ends before a limit of its CPU time can change (docs/adr/0068-start-up-of-an-agent.md).
//
//go:debug updatemaxprocs=0

// Sync is the resource agent ocf:lvs:sync. Its resource is the synchronisation daemons of IPVS on a
// director.
package main

import (
	"lvs-agents/agents/sync"
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
	ocf.Main(p, sync.New(director{setting.New(p.StateDir), kernel.New()}))
}

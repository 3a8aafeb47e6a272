// updatemaxprocs=0: Go does not read the CPU limit of the process again and again, because an agent
// runs only for a moment (docs/adr/0068-start-up-of-an-agent.md).
//
//go:debug updatemaxprocs=0

// Ipvs is the resource agent ocf:lvs:ipvs. Its resource is a set of IPVS virtual services of a
// director.
package main

import (
	"net"
	"time"

	"lvs-agents/agents/ipvs"
	"lvs-agents/internal/attribute"
	kernel "lvs-agents/internal/kernel/ipvs"
	"lvs-agents/internal/kernel/setting"
	"lvs-agents/ocf"
)

func main() {
	p := ocf.Begin()
	agent := ipvs.New(kernel.New(), setting.New(p.StateDir), net.DefaultResolver)
	agent.Obey(attribute.Node{}, time.Now())
	ocf.Main(p, agent)
}

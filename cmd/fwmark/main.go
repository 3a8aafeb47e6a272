// updatemaxprocs=0: Go does not read the CPU limit of the process again and again, because an agent
// runs only for a moment (docs/adr/0068-start-up-of-an-agent.md).
//
//go:debug updatemaxprocs=0

// Fwmark is the resource agent ocf:lvs:fwmark. Its resource is the marks of packets for a virtual
// service.
package main

import (
	"lvs-agents/agents/fwmark"
	"lvs-agents/internal/kernel/link"
	"lvs-agents/internal/kernel/mark"
	"lvs-agents/ocf"
)

// director reads and changes marks, and reads interfaces.
type director struct {
	mark.Kernel
	*links
}

type links = link.Kernel

func main() {
	p := ocf.Begin()
	ocf.Main(p, fwmark.New(director{mark.Kernel{}, link.New(p.StateDir)}))
}

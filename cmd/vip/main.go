// updatemaxprocs=0: Go does not read the CPU limit of the process again and again, because an agent
// runs only for a moment (docs/adr/0068-start-up-of-an-agent.md).
//
//go:debug updatemaxprocs=0

// Vip is the resource agent ocf:lvs:vip. Its resource is one virtual IP address of a director.
package main

import (
	"os"

	"lvs-agents/agents/vip"
	"lvs-agents/internal/kernel/announce"
	"lvs-agents/internal/kernel/link"
	"lvs-agents/ocf"
)

func main() {
	p := ocf.Begin()
	if len(os.Args) > 1 && os.Args[1] == announce.Verb {
		if announce.SendArguments(p.StateDir, os.Args[2:]) != nil {
			os.Exit(1)
		}
		return
	}
	ocf.Main(p, vip.New(link.New(p.StateDir), announce.Neighbours{}))
}

// The runtime reads mountinfo and cgroups to know how many processors it may
// use: a twentieth of what an action costs, which needs one.
//
//go:debug containermaxprocs=0

// Ipvs is the resource agent ocf:lvs:ipvs: the IPVS virtual services of a
// director.
package main

import (
	"net"

	"lvs-agents/agents/ipvs"
	kernel "lvs-agents/internal/kernel/ipvs"
	"lvs-agents/ocf"
)

func main() { ocf.Main(ipvs.New(kernel.New(), net.DefaultResolver)) }

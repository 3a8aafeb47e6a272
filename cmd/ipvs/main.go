// Ipvs is the resource agent ocf:lvs:ipvs. Its resource is a set of IPVS virtual services of a
// director.
package main

import (
	"net"

	"lvs-agents/agents/ipvs"
	kernel "lvs-agents/internal/kernel/ipvs"
	"lvs-agents/ocf"
)

func main() {
	ocf.Main(ocf.Begin(), ipvs.New(kernel.New(), net.DefaultResolver))
}

// Vip is the resource agent ocf:lvs:vip: one virtual IP address of a director.
package main

import (
	"os"

	"lvs-agents/agents/vip"
	"lvs-agents/internal/kernel/link"
	"lvs-agents/ocf"
)

func main() {
	ocf.Begin()
	if len(os.Args) > 1 && os.Args[1] == announceVerb {
		os.Exit(announceBurst(os.Args[2:]))
	}
	dir, _ := ocf.StateDir() // ocf.Main logs the warning
	ocf.Main(vip.New(link.New(dir), neighbours{}))
}

// Realserver is the resource agent ocf:lvs:realserver. Called lvsrs it is the
// command for hosts without a cluster, and a script for heartbeat.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"lvs-agents/agents/realserver"
	"lvs-agents/internal/doctor"
	"lvs-agents/internal/kernel/setting"
	"lvs-agents/internal/kernel/wire"
	"lvs-agents/ocf"
)

// kernel is what the agent sets, where addresses are, and what neighbours hear.
type (
	kernel struct {
		settings
		wire.Kernel
	}
	settings = setting.Kernel
)

func main() {
	ocf.Begin()
	dir, warning := ocf.StateDir()
	k := kernel{setting.New(dir), wire.Kernel{}}
	fresh := func() ocf.Agent { return realserver.New(k, doctor.Examiner{Kernel: k}) }
	if filepath.Base(os.Args[0]) == "lvsrs" && !byHeartbeat(os.Args[1:]) {
		if warning != nil {
			fmt.Fprintf(os.Stderr, "lvsrs: %v\n", warning)
		}
		os.Exit(lvsrs{fresh, confDir, os.Stdout, os.Stderr, os.Geteuid() == 0, dir}.run(os.Args[1:]))
	}
	ocf.Main(fresh())
}

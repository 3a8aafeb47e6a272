// Killed is a version of the agents fwmark, ipvs, realserver and sync that kills its own process at
// one operation on the kernel. Its program name selects the agent. The environment variable KILL_AT
// selects the moment: 0 is before the first operation, 1 is after it, 2 is before the second
// operation, and so on. Only tests use this program, and no package installs it.
package main

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"lvs-agents/agents/fwmark"
	"lvs-agents/agents/ipvs"
	"lvs-agents/agents/realserver"
	"lvs-agents/agents/sync"
	"lvs-agents/internal/attribute"
	"lvs-agents/internal/host"
	"lvs-agents/internal/kernel/mark"
	"lvs-agents/internal/kernel/setting"
	"lvs-agents/internal/lvs"
	"lvs-agents/ocf"

	kernel "lvs-agents/internal/kernel/ipvs"
)

func main() {
	at, err := strconv.Atoi(os.Getenv("KILL_AT"))
	if err != nil {
		panic(err)
	}
	fuse := &fuse{left: at}
	p := ocf.Begin()
	switch filepath.Base(os.Args[0]) {
	case "fwmark":
		ocf.Main(p, fwmark.New(marks{mark.Kernel{}, setting.New(p.StateDir).Links, fuse}))
	case "realserver":
		ocf.Main(p, realserver.New(fused{setting.New(p.StateDir), fuse}, nil))
	case "sync":
		ocf.Main(p, sync.New(daemons{setting.New(p.StateDir), kernel.New(), fuse}, idle{}, attribute.Node{}))
	}
	ocf.Main(p, ipvs.New(table{kernel.New(), fuse}, fused{setting.New(p.StateDir), fuse}, net.DefaultResolver))
}

// fuse counts down the moments before and after operations on the kernel. It kills the process when
// left is 0.
type fuse struct{ left int }

func (f *fuse) burn() {
	if f.left == 0 {
		if err := unix.Kill(os.Getpid(), unix.SIGKILL); err != nil {
			panic(err)
		}
		select {} // Wait here until the kernel has delivered the signal, which ends the process.
	}
	f.left--
}

type table struct {
	*kernel.Kernel
	fuse *fuse
}

func (k table) Table(ctx context.Context) (lvs.Table, error) {
	k.fuse.burn()
	defer k.fuse.burn()
	return k.Kernel.Table(ctx)
}

func (k table) Apply(ctx context.Context, ops []lvs.Op) (int, error) {
	for i := range ops {
		k.fuse.burn()
		if _, err := k.Kernel.Apply(ctx, ops[i:i+1]); err != nil {
			return i, err
		}
		k.fuse.burn()
	}
	return len(ops), nil
}

type settings = setting.Kernel

type fused struct {
	settings
	fuse *fuse
}

func (k fused) Get(ctx context.Context, s host.Setting) (string, error) {
	k.fuse.burn()
	defer k.fuse.burn()
	return k.settings.Get(ctx, s)
}

func (k fused) Set(ctx context.Context, s host.Setting, value string) error {
	k.fuse.burn()
	defer k.fuse.burn()
	return k.settings.Set(ctx, s, value)
}

type ipvsKernel = kernel.Kernel

// daemons are the kernel operations of the agent sync: sysctls and synchronisation daemons. The
// process can be killed only before and after changes.
type daemons struct {
	settings
	*ipvsKernel
	fuse *fuse
}

func (k daemons) Set(ctx context.Context, s host.Setting, value string) error {
	return fused{k.settings, k.fuse}.Set(ctx, s, value)
}

func (k daemons) StartSync(ctx context.Context, d lvs.SyncDaemon) error {
	k.fuse.burn()
	defer k.fuse.burn()
	return k.ipvsKernel.StartSync(ctx, d)
}

func (k daemons) StopSync(ctx context.Context, role lvs.SyncRole) error {
	k.fuse.burn()
	defer k.fuse.burn()
	return k.ipvsKernel.StopSync(ctx, role)
}

// marks are the kernel operations of the agent fwmark.
type marks struct {
	mark.Kernel
	*setting.Links
	fuse *fuse
}

func (k marks) Get(ctx context.Context, s host.Setting) (string, error) {
	k.fuse.burn()
	defer k.fuse.burn()
	return k.Kernel.Get(ctx, s)
}

func (k marks) Set(ctx context.Context, s host.Setting, value string) error {
	k.fuse.burn()
	defer k.fuse.burn()
	return k.Kernel.Set(ctx, s, value)
}

// idle starts no processes.
type idle struct{}

func (idle) Resync(context.Context) error          { return nil }
func (idle) Measure(context.Context, string) error { return nil }

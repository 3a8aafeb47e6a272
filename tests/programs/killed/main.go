// Killed is the agents ipvs and realserver (by the name it is called with), which kill
// themselves at one kernel operation: the environment variable KILL_AT counts
// the moments before and after each of them from 0. It is a program of the
// tests and never installed.
package main

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"lvs-agents/agents/ipvs"
	"lvs-agents/agents/realserver"
	"lvs-agents/internal/host"
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
	if filepath.Base(os.Args[0]) == "realserver" {
		ocf.Main(p, realserver.New(fused{setting.New(p.StateDir), fuse}, nil))
	}
	ocf.Main(p, ipvs.New(table{kernel.New(), fuse}, net.DefaultResolver))
}

// fuse burns down by one at each moment.
type fuse struct{ left int }

func (f *fuse) burn() {
	if f.left == 0 {
		if err := unix.Kill(os.Getpid(), unix.SIGKILL); err != nil {
			panic(err)
		}
		select {} // the signal may take a moment
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

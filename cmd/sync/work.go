package main

import (
	"cmp"
	"context"
	"errors"
	"os"
	"path/filepath"

	"lvs-agents/agents/sync"
	"lvs-agents/internal/attribute"
	kernel "lvs-agents/internal/kernel/ipvs"
	"lvs-agents/internal/kernel/resync"
	"lvs-agents/internal/process"
	"lvs-agents/ocf"
)

// The first argument of processes that continue after an action. They are not OCF actions, and the
// metadata does not list them.
const (
	verbResync  = "resync"
	verbMeasure = "measure"
)

// spawner starts this program again, in a new session. The cluster waits until an action ends, and
// kills the process group of the action on a timeout.
type spawner struct{}

// Resync is part of sync.Work.
func (spawner) Resync(ctx context.Context) error { return spawn(ctx, verbResync) }

// Measure is part of sync.Work.
func (spawner) Measure(ctx context.Context, id string) error { return spawn(ctx, verbMeasure, id) }

func spawn(ctx context.Context, args ...string) error {
	argv := append([]string{filepath.Base(os.Args[0])}, args...)
	return process.Spawn(ctx, "/proc/self/exe", argv, os.Environ())
}

// work does the work of a process that spawn has started. Its errors go to the log of the cluster.
func work(p ocf.Process, args []string) {
	process.Ready()
	ctx, log := context.Background(), ocf.Logger(p)
	table := kernel.New()
	send := func(ctx context.Context) error {
		report, err := resync.Sender{IPVS: table, StateDir: p.StateDir}.Send(ctx)
		if err == nil {
			log.Infof("sent %s", report)
		}
		return err
	}
	err := error(nil)
	if args[0] == verbMeasure && len(args) == 2 {
		node, _ := os.Hostname()
		err = sync.Measurement{
			ID: args[1], Node: cmp.Or(os.Getenv("OCF_RESKEY_CRM_meta_on_node"), node), StateDir: p.StateDir,
			Attributes: attribute.Node{}, Kernel: table, Connections: resync.Table{}.Connections, Resync: send, Log: log,
		}.Run(ctx)
	} else {
		err = send(ctx)
	}
	if err != nil && !errors.Is(err, resync.ErrStopped) {
		log.Warnf("%s: %v", args[0], err)
	}
}

package sync

import (
	"context"
	"errors"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/sirupsen/logrus"

	"lvs-agents/internal/attribute"
	"lvs-agents/internal/connection"
	"lvs-agents/internal/lvs"
	"lvs-agents/internal/state"
	"lvs-agents/ocf"
)

// Attributes reads and changes node attributes of the cluster. Outside of a cluster, its errors are
// attribute.ErrNoCluster.
type Attributes interface {
	Set(ctx context.Context, name, value string, dampen time.Duration) error
	SetPrivate(ctx context.Context, name, value string) error
	Remove(ctx context.Context, name string) error
	All(ctx context.Context, name string) (map[string]string, error)
}

// connectionsAttribute returns the name of the attribute with the sketch of the connections that a
// node serves.
func connectionsAttribute(id string) string { return "lvs-connections-" + id }

// coverageAttribute returns the name of the attribute with the share that a node holds of the
// connections of the other nodes, in percent.
func coverageAttribute(id string) string { return "lvs-sync-" + id }

// enough is a share in percent. A node that holds a smaller share of the connections of another
// node does not count as ready to take them over.
const enough = 99

// young is how long a new connection can take to arrive at the other directors. The kernel sends an
// incomplete datagram after 2 seconds (ip_vs_sync.c, IPVS_SYNC_FLUSH_TIME).
const young = 2 * time.Second

// After a Measurement has read the connection table, it waits. The wait takes 50 times as long as
// the read, from minPause to maxPause. For each page of text, the kernel begins at the start of its
// table. So a read of 100,000 connections takes seconds of CPU time. The kernel keeps most ended
// connections for 2 minutes. A sketch must be younger, because its ended connections would count as
// missing.
const (
	costs    = 50
	minPause = 8 * time.Second
	maxPause = time.Minute
)

// pause returns how long a Measurement waits after a read that took the time reading. A node that
// lacks connections waits less, because it waits for an address.
func pause(reading time.Duration, lacks bool) time.Duration {
	if lacks {
		return max(reading, minPause)
	}
	return max(reading, min(costs*reading, maxPause), minPause)
}

// Measurement compares the connections of the nodes of a clone, and publishes the result as node
// attributes. The caller sets the exported fields.
type Measurement struct {
	ID         string // ID is the id of the sync resource.
	Node       string // Node is the name of the cluster node on which this process runs.
	StateDir   string
	Attributes Attributes
	Kernel     interface {
		SyncDaemons(context.Context) ([]lvs.SyncDaemon, error)
	}
	// Connections calls the function each for every entry of the connection table. The argument
	// here reports whether this node serves the connection.
	Connections func(ctx context.Context, each func(c connection.Connection, here bool) error) (damaged int, err error)
	// Resync sends the connections of this node to the other nodes.
	Resync func(context.Context) error
	Log    logrus.FieldLogger
}

// Run measures once. It returns at once if another process measures, if the last measurement was a
// short time ago, or outside of a cluster. If another node has published that it holds too few
// connections, Run sends the connections that this node serves.
func (m Measurement) Run(ctx context.Context) error {
	if !m.due() {
		return nil
	}
	unlock, err := m.lock(ctx, "measure", 10*time.Millisecond)
	if err != nil {
		return nil //nolint:nilerr // another process has the lock
	}
	defer unlock()
	texts, err := m.Attributes.All(ctx, connectionsAttribute(m.ID))
	if errors.Is(err, attribute.ErrNoCluster) {
		return nil
	}
	if err != nil {
		return err
	}
	others, known := m.sketches(texts)
	own, share, err := m.compare(ctx, others)
	if err != nil {
		return err
	}
	value := strconv.Itoa(share)
	if !known {
		value = ""
	}
	if err := m.publish(ctx, own, value); err != nil {
		return err
	}
	if own.Count == 0 || !m.otherLacks(ctx) {
		return nil
	}
	return m.Resync(ctx)
}

// sketches returns the sketches of the other nodes. A sketch of another version is left out, with a
// warning. known is false then, because this node cannot compute its share.
func (m Measurement) sketches(texts map[string]string) (sketches []connection.Sketch, known bool) {
	known = true
	for node, text := range texts {
		if node == m.Node {
			continue
		}
		s, err := connection.ParseSketch(text)
		if err != nil {
			known = false
			m.Log.Warnf("node attribute %s of node %s is ignored: %v; install the same version of lvs-agents on all nodes", connectionsAttribute(m.ID), node, err)
			continue
		}
		sketches = append(sketches, s)
	}
	return sketches, known
}

// compare returns the sketch of the connections that this node serves. For each other node, this
// node holds a share of the connections in the sketch of that node. compare also returns the
// smallest of these shares. A connection that arrives a short time later does not count as missing.
func (m Measurement) compare(ctx context.Context, others []connection.Sketch) (own connection.Sketch, share int, err error) {
	found := map[uint32]bool{}
	for _, s := range others {
		s.Want(found)
	}
	began := state.SinceBoot()
	err = m.read(ctx, found, &own)
	reading := state.SinceBoot() - began
	m.delay(pause(reading, false))
	share = smallest(others, found)
	if err != nil || share >= enough {
		return own, share, err
	}
	select {
	case <-ctx.Done():
		return own, share, ctx.Err()
	case <-time.After(young):
	}
	err = m.read(ctx, found, nil)
	if share = smallest(others, found); share < enough {
		m.delay(pause(reading, true))
	}
	return own, share, err
}

// read reads the table. It marks the hashes in found that the table has, and adds the connections
// that this node serves to own, unless own is nil.
func (m Measurement) read(ctx context.Context, found map[uint32]bool, own *connection.Sketch) error {
	_, err := m.Connections(ctx, func(c connection.Connection, here bool) error {
		if own != nil && here && c.Lasting() {
			own.Add(c)
		}
		if len(found) == 0 {
			return nil
		}
		if hash := c.Hash(); isIn(found, hash) {
			found[hash] = true
		}
		return nil
	})
	return err
}

func isIn(set map[uint32]bool, hash uint32) bool {
	_, in := set[hash]
	return in
}

func smallest(sketches []connection.Sketch, found map[uint32]bool) int {
	share := 100
	for _, s := range sketches {
		share = min(share, s.Share(found))
	}
	return share
}

// publish sets both attributes if the daemons run. If the text share is empty, it removes the
// attribute of the share. It holds the lock of unpublish, so that no attribute of a stopped
// resource appears.
func (m Measurement) publish(ctx context.Context, own connection.Sketch, share string) error {
	unlock, err := m.lock(ctx, "publish", 5*time.Second)
	if err != nil {
		return err
	}
	defer unlock()
	daemons, err := m.Kernel.SyncDaemons(ctx)
	if err != nil || len(daemons) == 0 {
		return err
	}
	if err := m.Attributes.SetPrivate(ctx, connectionsAttribute(m.ID), own.String()); err != nil {
		return err
	}
	if share == "" {
		return m.Attributes.Remove(ctx, coverageAttribute(m.ID))
	}
	return m.Attributes.Set(ctx, coverageAttribute(m.ID), share, 0)
}

// otherLacks reports whether another node has published that it holds too few connections.
func (m Measurement) otherLacks(ctx context.Context) bool {
	shares, err := m.Attributes.All(ctx, coverageAttribute(m.ID))
	for node, text := range shares {
		if share, wrong := strconv.Atoi(text); err == nil && node != m.Node && wrong == nil && share < enough {
			return true
		}
	}
	return false
}

// lock takes a lock of this resource and waits for at most limit.
func (m Measurement) lock(ctx context.Context, name string, limit time.Duration) (func(), error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return state.Lock(ctx, lockFile(m.StateDir, name, m.ID), name, time.Time{})
}

func lockFile(dir, name, id string) string {
	return filepath.Join(dir, "lock-"+name+"-"+state.FileName(id))
}

// nextFile returns the path of a file. The file has the time of the next measurement, as a time
// since boot.
func (m Measurement) nextFile() string {
	return filepath.Join(m.StateDir, "measure-"+state.FileName(m.ID))
}

// due reports whether the time of the next measurement has come. It returns true if the file with
// the time cannot be read.
func (m Measurement) due() bool {
	text, err := state.Read(m.nextFile())
	next, wrong := time.ParseDuration(strings.TrimSpace(text))
	return err != nil || wrong != nil || state.SinceBoot() >= next
}

// delay writes the time of the next measurement. It ignores an error of the write, which only makes
// measurements more frequent.
func (m Measurement) delay(pause time.Duration) {
	_ = state.Write(m.nextFile(), (state.SinceBoot()+pause).String()+"\n")
}

// unpublish removes the attributes of a stopped resource, and the time of its next measurement. A
// failure is only a warning, because the attributes are not a part of the state of the resource.
func (a *Agent) unpublish(ctx context.Context, c ocf.Call) {
	id := c.Resource()
	unlock, _ := state.LockInHalf(ctx, lockFile(c.StateDir, "publish", id), "stop")
	defer unlock()
	attribute.Unpublish(ctx, a.attributes, c.Log.Warnf, coverageAttribute(id), connectionsAttribute(id))
	_ = state.Remove(Measurement{ID: id, StateDir: c.StateDir}.nextFile())
}

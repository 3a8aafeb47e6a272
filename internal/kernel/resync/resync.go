// Package resync sends the connection table of this director to the other directors, as messages of
// the synchronisation daemons of IPVS. The kernel's own daemon sends a connection only when one of
// its packets moves, so a director that comes back does not get idle connections. The package also
// receives the messages of other directors (Listen).
package resync

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"lvs-agents/internal/connection"
	"lvs-agents/internal/host"
	"lvs-agents/internal/lvs"
	"lvs-agents/internal/state"
)

// IPVS reads the services and the synchronisation daemons of this network namespace.
type IPVS interface {
	Table(context.Context) (lvs.Table, error)
	SyncDaemons(context.Context) ([]lvs.SyncDaemon, error)
}

// Sender sends the connections that this director serves: the connections to addresses of this
// host, and the templates of firewall marks.
type Sender struct {
	IPVS IPVS
	// StateDir is the directory of the lock, because only one sender can run at a time.
	StateDir string
	// All makes Send send the connections to other addresses as well. A director that has lost a
	// VIP keeps its old entries. They can replace newer connections of the director with the VIP.
	All bool
	// Dry makes Send count connections and send nothing.
	Dry bool
}

// Report is the result of Send.
type Report struct {
	// Sent counts the connections and templates that Send has sent. With Dry, it counts what Send
	// would send.
	Sent int
	Left int // Left counts entries that a message cannot carry, or that have ended.
	// Elsewhere counts entries for addresses that this host does not have on an interface to other
	// hosts.
	Elsewhere int
	Damaged   int // Damaged counts lines of the connection table in an unknown format.
	Daemon    lvs.SyncDaemon
	Took      time.Duration
}

// String returns the report as a line for a log.
func (r Report) String() string {
	text := fmt.Sprintf("%d connections to %s in %s; left out: %d that have ended or that a message cannot carry, %d for addresses of other directors",
		r.Sent, r.Daemon.Group, r.Took.Round(time.Millisecond), r.Left, r.Elsewhere)
	if r.Damaged > 0 {
		text += fmt.Sprintf(", %d lines in an unknown format", r.Damaged)
	}
	return text
}

// ErrStopped is the error of Send when the master synchronisation daemon does not run, or ends
// while Send works.
var ErrStopped = errors.New("no master synchronisation daemon runs on this host; start ocf:lvs:sync or ipvsadm --start-daemon master")

// limit is how long Send can take. The kernel begins at the start of its table for each page of
// text. So the time grows with the square of the number of connections.
const limit = 30 * time.Minute

// again is the time between the two sendings.
const again = time.Second

// Send sends the table twice, because a receiver can lose datagrams. With Dry, it reads the table
// once. It waits while another process sends. It ends with ErrStopped when the master daemon is
// stopped. The error is host.ErrNotInstalled without IPVS or the interface.
func (s Sender) Send(ctx context.Context) (Report, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	until, _ := ctx.Deadline()
	unlock, err := state.Lock(ctx, filepath.Join(s.StateDir, "lock-resync"), "resync", until)
	if err != nil {
		return Report{}, fmt.Errorf("lock against a second sender of connections: %w", err)
	}
	defer unlock()
	daemon, err := s.master(ctx)
	if err != nil {
		return Report{}, err
	}
	report, err := s.send(ctx, daemon)
	if s.Dry || err != nil {
		return report, err
	}
	select {
	case <-ctx.Done():
		return report, ctx.Err()
	case <-time.After(again):
	}
	_, err = s.send(ctx, daemon)
	return report, err
}

// master returns the master daemon.
func (s Sender) master(ctx context.Context) (lvs.SyncDaemon, error) {
	daemons, err := s.IPVS.SyncDaemons(ctx)
	if err != nil {
		return lvs.SyncDaemon{}, err
	}
	i := slices.IndexFunc(daemons, func(d lvs.SyncDaemon) bool { return d.Role == lvs.SyncMaster })
	if i < 0 {
		return lvs.SyncDaemon{}, ErrStopped
	}
	return daemons[i].Complete(), nil
}

// send sends the table once.
func (s Sender) send(ctx context.Context, daemon lvs.SyncDaemon) (Report, error) {
	began, report := state.SinceBoot(), Report{Daemon: daemon}
	table, err := s.IPVS.Table(ctx)
	if err != nil {
		return report, err
	}
	group, err := dial(daemon)
	if err != nil {
		return report, err
	}
	defer group.close()
	batch := batch{message: connection.NewMessage(daemon.ID, group.limit), services: connection.NewServices(table),
		send: func(datagram []byte) error { return s.paced(ctx, group, datagram) }}
	if s.Dry {
		batch.send = func([]byte) error { return nil }
	}
	report.Damaged, err = Table{}.Connections(ctx, func(c connection.Connection, here bool) error {
		switch {
		case !here && !s.All && c.Protocol != 0:
			report.Elsewhere++
			return nil
		case !c.Carried():
			report.Left++
			return nil
		}
		report.Sent++
		return batch.add(c)
	})
	if err == nil {
		err = batch.flush()
	}
	report.Took = state.SinceBoot() - began
	return report, err
}

// batch fills messages and sends each full one.
type batch struct {
	message  *connection.Message
	services connection.Services
	send     func([]byte) error
}

func (b batch) add(c connection.Connection) error {
	mark, timeout := b.services.Mark(c), b.services.Timeout(c)
	if b.message.Add(c, mark, timeout) {
		return nil
	}
	if err := b.flush(); err != nil {
		return err
	}
	if !b.message.Add(c, mark, timeout) {
		return errors.New("the datagrams of the master synchronisation daemon are too short for a connection; give a larger maxlen, or its interface a larger MTU")
	}
	return nil
}

// flush sends the connections that the message has.
func (b batch) flush() error {
	if b.message.Len() == 0 {
		return nil
	}
	err := b.send(b.message.Bytes())
	b.message.Reset()
	return err
}

// A receiver has a socket buffer for about 90 datagrams of 1472 bytes: 212,992 bytes, and the
// kernel counts 2304 bytes for each datagram. Send sends at most 10 datagrams in 10 ms, which are
// 40,000 IPv4 connections in a second.
const (
	burst = 10
	pause = 10 * time.Millisecond
)

// paced sends a datagram. After each burst it waits, and once in a second it checks that the master
// daemon still runs with the same options.
func (s Sender) paced(ctx context.Context, g *group, datagram []byte) error {
	if g.sent > 0 && g.sent%burst == 0 {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
	if state.SinceBoot()-g.checked >= time.Second {
		daemon, err := s.master(ctx)
		if err != nil {
			return err
		}
		if !daemon.Equal(g.daemon) {
			return fmt.Errorf("the master synchronisation daemon has changed to %s", daemon)
		}
		g.checked = state.SinceBoot()
	}
	g.sent++
	return g.send(datagram)
}

// notIPVS returns the error of a kernel without IPVS.
func notIPVS() error { return host.NotInstalled("IPVS is not in this kernel; modprobe ip_vs") }

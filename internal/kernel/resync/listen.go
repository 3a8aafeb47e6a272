package resync

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"lvs-agents/internal/connection"
	"lvs-agents/internal/host"
	"lvs-agents/internal/lvs"
)

// listening is how long Listen receives. A master daemon with a new connection sends it within 2
// seconds (ip_vs_sync.c, IPVS_SYNC_FLUSH_TIME).
const listening = 4 * time.Second

// Listen receives the datagrams of a backup daemon's group, on this many ports, for 4 seconds or
// until ctx ends. It returns the senders, each with its address, syncid and version, without
// repetition.
func Listen(ctx context.Context, backup lvs.SyncDaemon, ports int) ([]lvs.SyncSender, error) {
	nic, err := net.InterfaceByName(backup.Interface)
	if err != nil {
		return nil, host.NotInstalled("interface %s of the backup synchronisation daemon is gone; create it, then restart the daemon", backup.Interface)
	}
	backup = backup.Complete()
	conns := make([]*net.UDPConn, 0, ports)
	for i := range ports {
		group := netip.AddrPortFrom(backup.Group, backup.Port+uint16(i))
		conn, err := net.ListenMulticastUDP("udp", nic, net.UDPAddrFromAddrPort(group))
		if err != nil {
			return nil, err
		}
		defer func() { _ = conn.Close() }()
		conns = append(conns, conn)
	}
	return receive(ctx, conns)
}

// receive returns the senders of all synchronisation messages that arrive before the end of the
// time listening, or of ctx.
func receive(ctx context.Context, conns []*net.UDPConn) ([]lvs.SyncSender, error) {
	var (
		mu      sync.Mutex
		senders []lvs.SyncSender
		wait    sync.WaitGroup
		errs    = make([]error, len(conns))
	)
	for i, conn := range conns {
		wait.Go(func() {
			errs[i] = each(ctx, conn, func(s lvs.SyncSender) {
				mu.Lock()
				defer mu.Unlock()
				if !slices.Contains(senders, s) {
					senders = append(senders, s)
				}
			})
		})
	}
	wait.Wait()
	slices.SortFunc(senders, func(a, b lvs.SyncSender) int { return a.Addr.Compare(b.Addr) })
	return senders, errors.Join(errs...)
}

// each calls found for every synchronisation message that a socket receives before the end of the
// time listening, or of ctx.
func each(ctx context.Context, conn *net.UDPConn, found func(lvs.SyncSender)) error {
	ctx, cancel := context.WithTimeout(ctx, listening)
	defer cancel()
	past := time.Unix(1, 0)
	defer context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(past) })()
	datagram := make([]byte, 65536)
	for {
		n, from, err := conn.ReadFromUDPAddrPort(datagram)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		}
		if err != nil {
			return err
		}
		if id, version, ok := connection.Header(datagram[:n]); ok {
			found(lvs.SyncSender{Addr: from.Addr().Unmap().WithZone(""), ID: id, Version: version})
		}
	}
}

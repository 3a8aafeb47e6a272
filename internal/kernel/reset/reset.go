// Package reset makes the clients of a real server that leaves the IPVS table see a TCP reset,
// although they only wait.
//
// For each connection, the director sends the client a segment from the virtual address, with
// numbers that the connection cannot have now. The client must reply with an ACK (RFC 9293, section
// 3.10.7.4), which has its true numbers. Without the real server in the table, IPVS gives this ACK
// to the director's own TCP or to another real server. Neither has the connection, so each
// of them replies with a reset that the client accepts. If the connection continues, the
// real server ignores the ACK.
package reset

import (
	"context"
	"net"
	"net/netip"
	"time"

	"lvs-agents/internal/connection"
	"lvs-agents/internal/kernel/packet"
	"lvs-agents/internal/lvs"
)

// Table reads the connection table of IPVS, as resync.Table does.
type Table interface {
	Connections(ctx context.Context, each func(c connection.Connection, here bool) error) (damaged int, err error)
}

// most is the largest number of connections that one Read returns. Each needs 18 bytes.
const most = 1_000_000

// client is the address and the port of a client. It is smaller than a netip.AddrPort.
type client struct {
	addr [16]byte
	port uint16
}

// Clients are the clients of real servers, by the virtual address and port that they use.
type Clients struct {
	of map[netip.AddrPort][]client
	n  int
}

// Read returns the open TCP connections to destinations. It leaves out connections whose virtual
// address another host has: the passive director of a pair sends nothing.
func Read(ctx context.Context, table Table, destinations []lvs.Op) (*Clients, error) {
	wanted := newWanted(destinations)
	found := &Clients{of: map[netip.AddrPort][]client{}}
	_, err := table.Connections(ctx, func(c connection.Connection, here bool) error {
		if here && found.n < most && open(c) && wanted.has(c) {
			found.of[c.Virtual] = append(found.of[c.Virtual], client{c.Client.Addr().As16(), c.Client.Port()})
			found.n++
		}
		return nil
	})
	return found, err
}

// open reports whether the client of a connection waits for its server. With direct routing, IPVS
// sees only the client's side.
func open(c connection.Connection) bool {
	if lvs.Protocol(c.Protocol) != lvs.TCP || c.Template() {
		return false
	}
	switch c.State {
	case "ESTABLISHED", "FIN_WAIT", "CLOSE_WAIT", "LAST_ACK", "SYN_RECV":
		return true
	}
	return false
}

// wanted has the destinations by their address, each with its services.
type wanted map[netip.Addr][]lvs.Op

func newWanted(destinations []lvs.Op) wanted {
	w := wanted{}
	for _, op := range destinations {
		addr := op.Destination.Addr.Addr()
		w[addr] = append(w[addr], op)
	}
	return w
}

// has reports whether a connection can belong to one of the destinations. The table does not show
// the firewall mark of a connection, so each service with a mark can have it.
func (w wanted) has(c connection.Connection) bool {
	port := func(of netip.AddrPort, has uint16) bool { return of.Port() == 0 || of.Port() == has }
	for _, op := range w[c.Real.Addr()] {
		id := op.Service.ID
		if port(op.Destination.Addr, c.Real.Port()) && (id.IsMark() || id.Protocol == lvs.TCP && id.Addr.Addr() == c.Virtual.Addr() && port(id.Addr, c.Virtual.Port())) {
			return true
		}
	}
	return false
}

// Len returns the number of connections.
func (c *Clients) Len() int { return c.n }

// rounds are the numbers of the segments. A client that has one of them in its window accepts it
// and sends no ACK. A window has less than half of the number space. A client limits its ACKs (RFC
// 5961, section 7), and segments get lost. So the next round follows after a pause. In one of the
// rounds, both numbers are below the numbers of the connection. A packet filter is most likely to
// let the segment of this round pass.
var rounds = [...]struct{ sequence, ack uint32 }{{0, 0}, {1 << 31, 1 << 31}, {1 << 31, 0}, {0, 1 << 31}}

const (
	pause = 700 * time.Millisecond // pause is longer than the limit of Linux, 500 ms.
	// burst is the number of segments between two pauses of tick, so a second has 20,000 segments.
	burst = 100
	tick  = 5 * time.Millisecond
)

// Send makes the clients see a reset. Call it after IPVS has forgotten the connections. It needs
// about 3 seconds, and 20 seconds with 100,000 connections.
func (c *Clients) Send(ctx context.Context) error {
	sockets := map[netip.AddrPort]net.PacketConn{}
	defer func() {
		for _, socket := range sockets {
			_ = socket.Close()
		}
	}()
	for virtual := range c.of {
		socket, err := listen(ctx, virtual.Addr())
		if err != nil {
			return err
		}
		sockets[virtual] = socket
	}
	for i, round := range rounds {
		if i > 0 && !wait(ctx, pause) {
			return ctx.Err()
		}
		sent := 0
		for virtual, clients := range c.of {
			for _, to := range clients {
				addr := netip.AddrFrom16(to.addr).Unmap()
				segment := packet.ACK(virtual, netip.AddrPortFrom(addr, to.port), round.sequence, round.ack)
				// Without a route to one client, the others still get their segments.
				_, _ = sockets[virtual].WriteTo(segment, &net.IPAddr{IP: addr.AsSlice()})
				if sent++; sent%burst == 0 && !wait(ctx, tick) {
					return ctx.Err()
				}
			}
		}
	}
	return nil
}

// listen opens a raw socket that sends from a virtual address. Its buffer for received packets is
// as small as possible, because it receives a copy of each TCP packet to the address.
func listen(ctx context.Context, virtual netip.Addr) (net.PacketConn, error) {
	network := "ip4:tcp"
	if virtual.Is6() {
		network = "ip6:tcp"
	}
	socket, err := (&net.ListenConfig{}).ListenPacket(ctx, network, virtual.String())
	if err != nil {
		return nil, err
	}
	_ = socket.(*net.IPConn).SetReadBuffer(1) // a larger buffer only costs memory
	return socket, nil
}

func wait(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

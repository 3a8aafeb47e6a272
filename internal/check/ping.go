package check

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"lvs-agents/internal/kernel/packet"
)

// Ping is a check that is good if the server replies to an ICMP echo request.
type Ping struct {
	Addr   netip.Addr
	Pinger *Pinger
	// Attempts is the number of attempts. 0 means 1. Each attempt has an equal share of the time
	// that is left.
	Attempts int
}

// Check sends echo requests, one for each attempt, until the server replies.
func (p Ping) Check(ctx context.Context) error {
	var err error
	for left := max(1, p.Attempts); left > 0; left-- {
		until, _ := ctx.Deadline()
		attempt, cancel := context.WithTimeout(ctx, time.Until(until)/time.Duration(left))
		err = p.Pinger.ping(attempt, p.Addr)
		cancel()
		if err == nil {
			return nil
		}
	}
	return fmt.Errorf("ping %s: %w", p.Addr, err)
}

// Pinger shares one raw socket between all checks from the same source address. It needs
// CAP_NET_RAW. Close a Pinger after its last check has ended.
type Pinger struct {
	source Sourcer
	id     uint16

	mu      sync.Mutex
	sockets map[netip.Addr]*net.IPConn
	// waiting has the checks that wait for a reply, by the sequence number of the request.
	waiting map[uint16]waiter
	last    uint16
	readers sync.WaitGroup
}

type waiter struct {
	target netip.Addr
	answer chan struct{}
}

// NewPinger returns a Pinger that opens a socket when a check needs it. id distinguishes our echo
// requests from the echo requests of other processes.
func NewPinger(source Sourcer, id uint16) *Pinger {
	return &Pinger{source: source, id: id, sockets: map[netip.Addr]*net.IPConn{}, waiting: map[uint16]waiter{}}
}

// Close closes the sockets and waits for the goroutines that read them.
func (p *Pinger) Close() {
	p.mu.Lock()
	for source, socket := range p.sockets {
		_ = socket.Close() // No check waits for a reply any more, so an error does not matter.
		delete(p.sockets, source)
	}
	p.mu.Unlock()
	p.readers.Wait()
}

func (p *Pinger) ping(ctx context.Context, target netip.Addr) error {
	socket, err := p.socket(target)
	if err != nil {
		p.source.Forget(target)
		return plain(err)
	}
	sequence, answer, err := p.register(target)
	if err != nil {
		return err
	}
	defer p.unregister(sequence)
	if _, err := socket.WriteToIP(p.request(target, sequence), &net.IPAddr{IP: target.AsSlice(), Zone: target.Zone()}); err != nil {
		p.source.Forget(target)
		return plain(err)
	}
	select {
	case <-answer:
		return nil
	case <-ctx.Done():
		p.source.Forget(target)
		return errSilent
	}
}

// socket returns the socket for the source address of checks of a target. If the socket does not
// exist, it opens the socket.
func (p *Pinger) socket(target netip.Addr) (*net.IPConn, error) {
	source := p.source.Source(target)
	if !source.IsValid() {
		source = netip.IPv4Unspecified()
		if target.Is6() {
			source = netip.IPv6Unspecified()
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if socket := p.sockets[source]; socket != nil {
		return socket, nil
	}
	socket, err := listen(source)
	if err != nil {
		return nil, err
	}
	p.sockets[source] = socket
	p.readers.Go(func() { p.read(socket) })
	return socket, nil
}

// listen opens a raw socket for ICMP echo packets from a source address.
func listen(source netip.Addr) (*net.IPConn, error) {
	network := "ip4:icmp"
	if source.Is6() {
		network = "ip6:ipv6-icmp"
	}
	socket, err := net.ListenIP(network, &net.IPAddr{IP: source.AsSlice()})
	if err != nil {
		return nil, err
	}
	if err := quieten(socket, source.Is6()); err != nil {
		return nil, errors.Join(err, socket.Close())
	}
	return socket, nil
}

// answersRoom is the size of the receive buffer in bytes. The buffer holds 16384 replies: the
// kernel uses a kilobyte for a short packet, and doubles the size (socket(7)). The size also limits
// the memory that a flood of packets can use.
const answersRoom = 8 << 20

// quieten makes a socket receive only echo replies. It also makes the receive buffer large enough
// for a burst of replies, which can arrive before Go's scheduler runs the reader.
func quieten(socket *net.IPConn, ipv6 bool) error {
	raw, err := socket.SyscallConn()
	if err != nil {
		return err
	}
	return raw.Control(func(handle uintptr) {
		fd := int(handle)
		if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, answersRoom) != nil { // SO_RCVBUFFORCE needs CAP_NET_ADMIN
			_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, answersRoom) // net.core.rmem_max limits this size
		}
		if ipv6 { // the kernel drops each ICMPv6 type whose bit is set (linux/icmpv6.h); deliver also ignores other types
			filter := unix.ICMPv6Filter{}
			for i := range filter.Data {
				filter.Data[i] = ^uint32(0)
			}
			filter.Data[packet.EchoReply6/32] &^= 1 << (packet.EchoReply6 % 32)
			_ = unix.SetsockoptICMPv6Filter(fd, unix.IPPROTO_ICMPV6, unix.ICMPV6_FILTER, &filter)
			return
		}
		const icmpFilter = 1 // icmpFilter is ICMP_FILTER of linux/icmp.h.
		_ = unix.SetsockoptInt(fd, unix.SOL_RAW, icmpFilter, ^(1 << packet.EchoReply4))
	})
}

func (p *Pinger) register(target netip.Addr) (uint16, chan struct{}, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for range 1 << 16 {
		p.last++
		if _, taken := p.waiting[p.last]; !taken {
			answer := make(chan struct{}, 1)
			p.waiting[p.last] = waiter{target, answer}
			return p.last, answer, nil
		}
	}
	return 0, nil, errors.New("65536 echoes wait for an answer already")
}

func (p *Pinger) unregister(sequence uint16) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.waiting, sequence)
}

// read wakes the checks whose replies arrive at a socket, until the socket is closed.
func (p *Pinger) read(socket *net.IPConn) {
	buffer := make([]byte, 1500)
	for {
		n, from, err := socket.ReadFromIP(buffer)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			// The error can concern only one target. The check of that target times out on its own.
			continue
		}
		if addr, ok := netip.AddrFromSlice(from.IP); ok {
			p.deliver(addr.Unmap(), buffer[:n])
		}
	}
}

func (p *Pinger) deliver(from netip.Addr, message []byte) {
	reply, ok := packet.DecodeReply(message, from.Is6()) // Package net has already removed the IPv4 header from the message.
	if !ok || reply.ID != p.id {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if w, ok := p.waiting[reply.Sequence]; ok && w.target.WithZone("") == from {
		select {
		case w.answer <- struct{}{}:
		default: // The channel is full, so this is a duplicate reply.
		}
	}
}

// request returns the echo request to a target.
func (p *Pinger) request(target netip.Addr, sequence uint16) []byte {
	return packet.Echo{ID: p.id, Sequence: sequence, Data: []byte("lvs-agents health check")}.EncodeRequest(target.Is6())
}

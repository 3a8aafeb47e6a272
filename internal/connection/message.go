package connection

import (
	"encoding/binary"
	"math"
	"net/netip"
	"slices"
	"time"
)

// Message is a datagram of version 1 of the synchronisation daemons (ip_vs_sync.c). The receiver
// searches its own table for the destination of each connection. The connection then gets the
// forwarding method of this destination.
type Message struct {
	data  []byte
	count int
	limit int
}

// NewMessage returns a message without connections. limit is the length of the longest datagram
// in bytes.
func NewMessage(syncID uint8, limit int) *Message {
	m := &Message{limit: limit, data: make([]byte, headerSize, max(limit, headerSize))}
	m.data[1], m.data[5] = syncID, version1
	return m
}

const (
	headerSize = 8
	version1   = 1
	entrySize  = 24 // entrySize is the size of an entry in bytes, without the addresses of the connection.
)

// Flags of a connection, include/uapi/linux/ip_vs.h.
const (
	inactive = 0x0100 // The destination counts the connection as inactive.
	template = 0x1000
)

const (
	tcp  = 6
	udp  = 17
	sctp = 132
)

// states are the names of states in the table, in the order of the kernel's numbers (ip_vs.h;
// ip_vs_proto_tcp.c, tcp_state_name_table; ip_vs_proto_sctp.c, sctp_state_name_table).
var states = map[uint8][]string{
	tcp: {"NONE", "ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT", "TIME_WAIT", "CLOSE", "CLOSE_WAIT", "LAST_ACK", "LISTEN", "SYNACK"},
	udp: {"UDP"},
	sctp: {"NONE", "INIT1", "INIT", "C-SENT", "C-REPLIED", "C-WAIT", "COOKIE", "C-ECHOED", "ESTABLISHED",
		"S-SENT", "S-RECEIVED", "S-ACK-SENT", "REJECTED", "CLOSED"},
}

// ended are the states of connections without further packets.
var ended = []string{"NONE", "TIME_WAIT", "CLOSE", "REJECTED", "CLOSED"}

// Carried reports whether a message can carry the connection. The package comment lists what a
// message cannot carry. A connection that has ended is not carried either.
func (c Connection) Carried() bool {
	six := c.Client.Addr().Is6()
	switch {
	case c.Engine != "" || c.Virtual.Addr().Is6() != six || c.Real.Addr().Is6() != six:
		return false
	case c.Template():
		return true
	case c.Client.Port() == 0 || slices.Contains(ended, c.State):
		return false
	}
	return slices.Contains(states[c.Protocol], c.State)
}

// Add appends a connection and reports whether there was room. Carried must accept the connection.
// mark is the firewall mark of its virtual service, or 0. The receiver keeps the entry without
// traffic for timeout, which is at least one second.
func (m *Message) Add(c Connection, mark uint32, timeout time.Duration) bool {
	addresses := 3 * c.Client.Addr().BitLen() / 8
	if len(m.data)+entrySize+addresses > m.limit || m.count == math.MaxUint8 {
		return false
	}
	var e [entrySize]byte
	if c.Client.Addr().Is6() {
		e[0] = 1
	}
	flags, state := c.encoded()
	e[1] = c.Protocol
	binary.BigEndian.PutUint16(e[2:], uint16(entrySize+addresses))
	binary.BigEndian.PutUint32(e[4:], flags)
	binary.BigEndian.PutUint16(e[8:], state)
	binary.BigEndian.PutUint16(e[10:], c.Client.Port())
	binary.BigEndian.PutUint16(e[12:], c.Virtual.Port())
	binary.BigEndian.PutUint16(e[14:], c.Real.Port())
	binary.BigEndian.PutUint32(e[16:], mark)
	// At least 1 second: with 0, the kernel would use its default timeout.
	binary.BigEndian.PutUint32(e[20:], uint32(max(timeout/time.Second, 1)))
	m.data = append(m.data, e[:]...)
	for _, a := range [...]netip.AddrPort{c.Client, c.Virtual, c.Real} {
		m.data = append(m.data, a.Addr().AsSlice()...)
	}
	m.count++
	return true
}

// encoded returns the flags and the state of a connection as numbers of the kernel.
func (c Connection) encoded() (flags uint32, state uint16) {
	switch {
	case c.State == "ASSURED":
		return template, 1
	case c.Template():
		return template, 0
	case !c.Open():
		flags = inactive
	}
	return flags, uint16(max(slices.Index(states[c.Protocol], c.State), 0))
}

// Len returns the number of connections in the message.
func (m *Message) Len() int { return m.count }

// Bytes returns the datagram. It is valid until the next Add or Reset.
func (m *Message) Bytes() []byte {
	binary.BigEndian.PutUint16(m.data[2:], uint16(len(m.data)))
	m.data[4] = uint8(m.count)
	return m.data
}

// Reset removes all connections from the message.
func (m *Message) Reset() { m.data, m.count = m.data[:headerSize], 0 }

// Header returns the syncid and the version of a datagram. ok is false if the datagram is shorter
// than a header, or has another length than its header says. The kernel takes a datagram for
// version 1 if its unused bytes are 0, and otherwise for version 0 (ip_vs_sync.c,
// ip_vs_process_message).
func Header(datagram []byte) (syncID, version uint8, ok bool) {
	const header0 = 4 // the length of the header of version 0
	if len(datagram) < header0 || int(binary.BigEndian.Uint16(datagram[2:])) != len(datagram) {
		return 0, 0, false
	}
	if len(datagram) >= headerSize && datagram[0] == 0 && datagram[5] == version1 && datagram[6] == 0 && datagram[7] == 0 {
		return datagram[1], version1, true
	}
	return datagram[1], 0, true
}

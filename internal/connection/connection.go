// Package connection reads the connection table of IPVS and writes connections as messages of its
// synchronisation daemons. With a Sketch, directors compare their tables. The package makes no
// system calls.
//
// A message cannot carry everything that the kernel knows about a connection:
//
//   - Sequence numbers that an application module such as ip_vs_ftp adjusts. The table does not
//     show them. The connection is carried. It breaks at a take-over if the module has changed the
//     length of its data.
//   - Data of a persistence engine (ip_vs_pe_sip). A connection with this data is left out.
//   - A connection whose client port is unknown: the data connection that an FTP client will open.
//   - A connection between address families (an IPv6 real server of an IPv4 service).
//   - The firewall mark of a connection. The table does not show it, so Services takes the lowest
//     mark of the services with the real server.
//
// A service with ONE_PACKET (ipvsadm -o) has no entries in the table.
package connection

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Connection is an entry of the connection table of IPVS.
type Connection struct {
	// Protocol is the number of the IP protocol. It is 0 for the template of a firewall mark.
	Protocol uint8
	// Client has port 0 in a template. Virtual is the address that the client connects to. In the
	// template of a firewall mark, Virtual has the mark in the last four bytes of its address.
	Client, Virtual, Real netip.AddrPort
	// State is the state as the kernel writes it, for example ESTABLISHED or UDP.
	State string
	// Expires is the time until the kernel removes the entry, in whole seconds.
	Expires time.Duration
	// Engine is the persistence engine of a template, for example sip. It is empty without one.
	Engine string
}

// Template reports whether the entry is a persistence template. A template binds a client to its
// real server and is not a connection. The kernel gives templates separate states (ip_vs_proto.c,
// ip_vs_state_name).
func (c Connection) Template() bool {
	return c.State == "ASSURED" || c.State == "NONE" && c.Client.Port() == 0
}

// Mark returns the firewall mark of a template that belongs to a service with a mark, and 0 for
// every other entry. The kernel stores the mark as the virtual address of the template
// (ip_vs_core.c, ip_vs_sched_persist).
func (c Connection) Mark() uint32 {
	if c.Protocol != 0 {
		return 0
	}
	raw := c.Virtual.Addr().AsSlice()
	return binary.BigEndian.Uint32(raw[len(raw)-4:])
}

// Open reports whether packets of the connection are expected: it is established, or it is a UDP
// connection.
func (c Connection) Open() bool {
	return c.State == "ESTABLISHED" || c.State == "UDP"
}

// protocols are the names of protocols in the table.
var protocols = map[string]uint8{"IP": 0, "TCP": tcp, "UDP": udp, "SCTP": sctp, "AH": 51, "ESP": 50}

// errLine is the error of a line in an unknown format.
var errLine = errors.New("unknown line")

// longest is the most bytes that a line can have. The kernel writes at most 300 bytes, because the
// data of a persistence engine have a limit.
const longest = 4096

// Read reads /proc/net/ip_vs_conn (ip_vs_conn.c, ip_vs_conn_seq_show) line by line and calls each
// for every entry. It skips lines in an unknown format and returns their number. It stops at the
// first error of each or of the reader and returns that error.
func Read(r io.Reader, each func(Connection) error) (damaged int, err error) {
	lines := bufio.NewReaderSize(r, longest)
	for {
		line, err := lines.ReadSlice('\n')
		for errors.Is(err, bufio.ErrBufferFull) { // Skip the rest of a line that is too long.
			line = nil
			_, err = lines.ReadSlice('\n')
		}
		switch {
		case errors.Is(err, io.EOF) && len(line) == 0:
			return damaged, nil
		case err != nil && !errors.Is(err, io.EOF):
			return damaged, err
		case bytes.HasPrefix(line, []byte("Pro ")):
			continue
		}
		c, failed := parse(line)
		if failed != nil {
			damaged++
			continue
		}
		if err := each(c); err != nil {
			return damaged, err
		}
	}
}

// parse reads a line: protocol, then client, virtual and real address with their ports in
// hexadecimal digits, state and seconds. With a persistence engine, its name and data follow.
func parse(line []byte) (Connection, error) {
	var words [10][]byte
	n := 0
	for ; n < len(words); n++ {
		if words[n], line = cut(line); len(words[n]) == 0 {
			break
		}
	}
	if n < 9 {
		return Connection{}, errLine
	}
	c := Connection{State: stateName(words[7]), Engine: string(words[9])}
	var errs [5]error
	c.Protocol, errs[0] = protocol(words[0])
	c.Client, errs[1] = addrPort(words[1], words[2])
	c.Virtual, errs[2] = addrPort(words[3], words[4])
	c.Real, errs[3] = addrPort(words[5], words[6])
	seconds, err := strconv.ParseUint(string(words[8]), 10, 32)
	c.Expires, errs[4] = time.Duration(seconds)*time.Second, err
	for _, err := range errs {
		if err != nil {
			return Connection{}, fmt.Errorf("%w: %w", errLine, err)
		}
	}
	return c, nil
}

// cut returns the first word of a line, and the text after it.
func cut(line []byte) (word, rest []byte) {
	const blanks = " \t\r\n"
	line = bytes.TrimLeft(line, blanks)
	if end := bytes.IndexAny(line, blanks); end >= 0 {
		return line[:end], line[end:]
	}
	return line, nil
}

// stateName returns the name of a state. For the usual names, it allocates no memory.
func stateName(word []byte) string {
	switch string(word) {
	case "ESTABLISHED":
		return "ESTABLISHED"
	case "UDP":
		return "UDP"
	case "FIN_WAIT":
		return "FIN_WAIT"
	}
	return string(word)
}

func protocol(word []byte) (uint8, error) {
	if number, known := protocols[string(word)]; known {
		return number, nil
	}
	number, err := strconv.ParseUint(strings.TrimPrefix(string(word), "IP_"), 10, 8)
	return uint8(number), err
}

// addrPort parses an address and a port as the kernel writes them: C000020A for 192.0.2.10, or all
// eight groups of an IPv6 address.
func addrPort(address, port []byte) (netip.AddrPort, error) {
	number, err := strconv.ParseUint(string(port), 16, 16)
	if err != nil {
		return netip.AddrPort{}, err
	}
	if bytes.IndexByte(address, ':') >= 0 {
		addr, err := netip.ParseAddr(string(bytes.Trim(address, "[]")))
		if err == nil && (addr.Zone() != "" || !addr.Is6()) {
			err = errLine
		}
		return netip.AddrPortFrom(addr, uint16(number)), err
	}
	var raw [4]byte
	if len(address) != 2*len(raw) {
		return netip.AddrPort{}, errLine
	}
	_, err = hex.Decode(raw[:], address)
	return netip.AddrPortFrom(netip.AddrFrom4(raw), uint16(number)), err
}

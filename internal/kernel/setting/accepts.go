package setting

import (
	"context"
	"net"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// acceptWait is how long a real server can take to accept a connection.
const acceptWait = 500 * time.Millisecond

// Accepts reports whether a server accepts a TCP connection of this host. Then segment is the size
// of the largest segment that the server wants, or a smaller size if this host cannot send more.
func (Kernel) Accepts(ctx context.Context, server netip.AddrPort) (segment int, ok bool) {
	dialer := net.Dialer{Timeout: acceptWait}
	conn, err := dialer.DialContext(ctx, "tcp", server.String())
	if err != nil {
		return 0, false
	}
	defer func() { _ = conn.Close() }()
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		return 0, true
	}
	// Without a result, segment stays 0.
	_ = raw.Control(func(fd uintptr) {
		info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		if err != nil {
			return
		}
		segment = int(info.Snd_mss)
		if info.Options&timestamps != 0 {
			segment += timestampSize
		}
	})
	return segment, true
}

// The kernel subtracts the option for timestamps from the size of segments (net/ipv4/tcp_output.c,
// tcp_mtu_to_mss).
const (
	timestamps    = 1 // timestamps is TCPI_OPT_TIMESTAMPS.
	timestampSize = 12
)

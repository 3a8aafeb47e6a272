package epoll

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// conn is a TCP connection that uses a Dialer to wait for events of its socket. Only one goroutine
// can use it.
type conn struct {
	dialer *Dialer
	ended  <-chan struct{} // ended is closed when the context ends.
	target netip.AddrPort
	fd     int
	// number identifies the socket in the events of the dialer. It is the result of register, and
	// is valid only if happened is not nil.
	number   int32
	happened chan struct{}
}

var _ net.Conn = (*conn)(nil)

// finish waits until the connection is open or refused, or until the context ends.
func (c *conn) finish() error {
	var over error
	for {
		ended, err := attempted(c.fd)
		switch {
		case ended:
			return err
		case over != nil:
			return over
		}
		over = c.wait()
	}
}

// wait waits for the next event of the socket, or for the end of the context.
func (c *conn) wait() error {
	if c.happened == nil {
		c.happened = make(chan struct{}, 1)
		c.number = c.dialer.register(c.happened)
		if err := watch(c.dialer.fd, c.fd, c.number, unix.EPOLLIN|unix.EPOLLOUT|unix.EPOLLRDHUP|unix.EPOLLET); err != nil {
			return err
		}
	}
	select {
	case <-c.ended:
		return os.ErrDeadlineExceeded
	case <-c.happened:
		return nil
	}
}

// transfer makes the system call number, which reads or writes. If the call would block, transfer
// waits for an event and repeats the call. After the context ends, it repeats the call once more.
// The server is not to blame if this process had no time to read earlier.
func (c *conn) transfer(number uintptr, p []byte) (int, error) {
	var over error
	for {
		n, err := move(number, c.fd, p)
		switch {
		case err == nil:
			return n, nil
		case errors.Is(err, unix.EAGAIN):
			if over != nil {
				return 0, over
			}
			over = c.wait()
		case !errors.Is(err, unix.EINTR):
			return 0, err
		}
	}
}

// Read reads from the socket. It waits until data arrives or the context ends.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.transfer(unix.SYS_READ, p)
	if n == 0 && err == nil && len(p) > 0 {
		return 0, io.EOF
	}
	return n, err
}

// Write writes all bytes of p to the socket, unless the context ends or the connection fails first.
func (c *conn) Write(p []byte) (int, error) {
	done := 0
	for done < len(p) {
		n, err := c.transfer(unix.SYS_WRITE, p[done:])
		if err != nil {
			return done, err
		}
		done += n
	}
	return done, nil
}

// Close closes the socket, and removes its number from the dialer.
func (c *conn) Close() error {
	if c.fd < 0 {
		return net.ErrClosed
	}
	shut(c.fd)
	c.fd = -1
	if c.happened != nil {
		c.dialer.forget(c.number)
	}
	return nil
}

// LocalAddr returns an empty address, because no check reads the address.
func (c *conn) LocalAddr() net.Addr { return &net.TCPAddr{} }

// RemoteAddr returns the address of the real server.
func (c *conn) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(c.target) }

// SetDeadline returns an error, because only the context limits the time of reads and writes.
func (c *conn) SetDeadline(time.Time) error { return syscall.ENOTSUP }

// SetReadDeadline returns an error, because only the context limits the time of reads.
func (c *conn) SetReadDeadline(time.Time) error { return syscall.ENOTSUP }

// SetWriteDeadline returns an error, because only the context limits the time of writes.
func (c *conn) SetWriteDeadline(time.Time) error { return syscall.ENOTSUP }

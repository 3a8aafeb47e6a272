package kerneltest

import (
	"encoding/binary"
	"errors"
	"net"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Sniffer receives the frames that arrive at an interface after NewSniffer has returned.
type Sniffer struct {
	t  testing.TB
	fd int
}

// Frame is a frame on the wire, with its Ethernet header and the time of its arrival in the kernel.
type Frame struct {
	Bytes []byte
	At    time.Time
}

// NewSniffer receives frames of one protocol, for example unix.ETH_P_ARP, from an interface in the
// namespace of the calling goroutine. Every goroutine can read the frames.
func NewSniffer(t testing.TB, nic string, protocol uint16) *Sniffer {
	t.Helper()
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	link, err := net.InterfaceByName(nic)
	if err != nil {
		t.Fatal(err)
	}
	order := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, protocol))
	err = errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1),
		unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: order, Ifindex: link.Index}),
	)
	if err != nil {
		t.Fatal(err)
	}
	return &Sniffer{t, fd}
}

// Next returns the next frame that the function wanted accepts. It returns false if wanted accepts
// no frame within the given time.
func (s *Sniffer) Next(within time.Duration, wanted func([]byte) bool) (Frame, bool) {
	s.t.Helper()
	buffer, control := make([]byte, 2048), make([]byte, 128)
	for until := time.Now().Add(within); ; {
		timeout := unix.NsecToTimeval(int64(max(time.Until(until), time.Microsecond)))
		if err := unix.SetsockoptTimeval(s.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout); err != nil {
			s.t.Fatal(err)
		}
		n, oob, _, _, err := unix.Recvmsg(s.fd, buffer, control, 0)
		switch {
		case errors.Is(err, unix.EAGAIN):
			return Frame{}, false
		case errors.Is(err, unix.EINTR):
		case err != nil:
			s.t.Fatal(err)
		case wanted(buffer[:n]):
			return Frame{append([]byte(nil), buffer[:n]...), stamp(s.t, control[:oob])}, true
		}
		if time.Now().After(until) {
			return Frame{}, false
		}
	}
}

// Frames returns the next n frames that the function wanted accepts. It fails the test if the wait
// for one of them takes longer than ten seconds.
func (s *Sniffer) Frames(n int, wanted func([]byte) bool) []Frame {
	s.t.Helper()
	var all []Frame
	for len(all) < n {
		frame, ok := s.Next(10*time.Second, wanted)
		if !ok {
			s.t.Fatalf("%d of %d frames arrived:\n%x", len(all), n, all)
		}
		all = append(all, frame)
	}
	return all
}

func stamp(t testing.TB, control []byte) time.Time {
	t.Helper()
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil || len(messages) == 0 || messages[0].Header.Type != unix.SCM_TIMESTAMPNS {
		t.Fatalf("no time of arrival: %v", err)
	}
	at := *(*unix.Timespec)(unsafe.Pointer(&messages[0].Data[0]))
	return time.Unix(at.Unix())
}

package link

import (
	"encoding/binary"
	"errors"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// message is a netlink message of request 7.
func message(kind, flags uint16, body ...byte) []byte {
	b := binary.NativeEndian.AppendUint32(nil, uint32(unix.NLMSG_HDRLEN+len(body)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = binary.NativeEndian.AppendUint16(b, flags)
	b = binary.NativeEndian.AppendUint32(b, 7)
	b = append(append(b, 0, 0, 0, 0), body...)
	return append(b, make([]byte, -len(b)&3)...)
}

func errno(code syscall.Errno) []byte {
	return binary.NativeEndian.AppendUint32(nil, uint32(-int32(code)))
}

func TestAnswers(t *testing.T) {
	const multi = unix.NLM_F_MULTI
	address := message(unix.RTM_NEWADDR, multi, 1, 2, 3, 4)
	tests := []struct {
		name              string
		datagram          []byte
		bodies            int
		interrupted, done bool
		err               error
	}{
		{"one answer", message(unix.RTM_NEWLINK, 0, 1, 2, 3, 4), 1, false, true, nil},
		{"the beginning of a dump", append(message(unix.RTM_NEWADDR, multi, 1), address...), 2, false, false, nil},
		{"the end of a dump", append(address, message(unix.NLMSG_DONE, multi, 0, 0, 0, 0)...), 1, false, true, nil},
		{"an interrupted dump", append(message(unix.RTM_NEWADDR, multi|unix.NLM_F_DUMP_INTR), message(unix.NLMSG_DONE, multi)...), 1, true, true, nil},
		{"an error", message(unix.NLMSG_ERROR, 0, errno(unix.ENODEV)...), 0, false, true, unix.ENODEV},
		{"a dump that fails", append(address, message(unix.NLMSG_DONE, multi, errno(unix.EBUSY)...)...), 1, false, true, unix.EBUSY},
		{"another request's", append(message(unix.RTM_NEWLINK, 0)[:8], make([]byte, 8)...), 0, false, false, nil},
		{"cut off", message(unix.RTM_NEWLINK, 0, 1, 2, 3, 4)[:17], 0, false, true, unix.EINVAL},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bodies := 0
			interrupted, done, err := answers(tt.datagram, 7, func([]byte) { bodies++ })
			if bodies != tt.bodies || interrupted != tt.interrupted || done != tt.done || !errors.Is(err, tt.err) {
				t.Errorf("answers = %d bodies, interrupted %t, done %t, %v", bodies, interrupted, done, err)
			}
		})
	}
}

func FuzzAnswers(f *testing.F) {
	f.Add(message(unix.RTM_NEWADDR, unix.NLM_F_MULTI, 2, 24, 0, 0, 1, 0, 0, 0, 8, 0, 1, 0, 192, 0, 2, 10, 8, 0, 2, 0, 192, 0, 2, 10))
	f.Add(message(unix.RTM_NEWLINK, 0, 0, 0, 1, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9, 0, 3, 0, 'e', 't', 'h', '0', 0))
	f.Add(message(unix.NLMSG_ERROR, 0, 1))
	f.Fuzz(func(t *testing.T, datagram []byte) {
		_, _, _ = answers(datagram, 7, func(body []byte) {
			parseLink(body)
			if addr, ok := parseAddress(body); ok && !prefix(addr).IsValid() {
				t.Errorf("%+v has no address", addr)
			}
		})
	})
}

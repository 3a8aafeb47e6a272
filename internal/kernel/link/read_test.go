package link

import (
	"encoding/binary"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// message returns a netlink message that replies to request 7.
func message(kind, flags uint16, body ...byte) []byte {
	b := binary.NativeEndian.AppendUint32(nil, uint32(unix.NLMSG_HDRLEN+len(body)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = binary.NativeEndian.AppendUint16(b, flags)
	b = binary.NativeEndian.AppendUint32(b, 7)
	b = append(append(b, 0, 0, 0, 0), body...)
	return append(b, make([]byte, -len(b)&3)...)
}

func FuzzAnswers(f *testing.F) {
	f.Add(message(unix.RTM_NEWADDR, unix.NLM_F_MULTI, 2, 24, 0, 0, 1, 0, 0, 0, 8, 0, 1, 0, 192, 0, 2, 10, 8, 0, 2, 0, 192, 0, 2, 10))
	f.Add(message(unix.RTM_NEWLINK, 0, 0, 0, 1, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9, 0, 3, 0, 'e', 't', 'h', '0', 0))
	f.Add(message(unix.NLMSG_ERROR, 0, 1))
	f.Fuzz(func(t *testing.T, datagram []byte) {
		messages, _ := syscall.ParseNetlinkMessage(datagram)
		for _, m := range messages {
			parseLink(m.Data)
			if addr, ok := parseAddress(m.Data); ok && !prefix(addr).IsValid() {
				t.Errorf("%+v has no address", addr)
			}
			if r, ok := parseRoute(m.Data); ok && !r.dst.IsValid() {
				t.Errorf("%+v has no destination", r)
			}
		}
	})
}

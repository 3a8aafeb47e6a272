package netlink

import (
	"encoding/binary"
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// Request is a message to the kernel. Body is the fixed part of the message type, and then the
// attributes.
type Request struct {
	Type, Flags uint16
	Body        []byte
}

// append appends the message of a request to a datagram (struct nlmsghdr).
func (r Request) append(b []byte, seq uint32) []byte {
	b = binary.NativeEndian.AppendUint32(b, uint32(unix.SizeofNlMsghdr+len(r.Body)))
	b = binary.NativeEndian.AppendUint16(b, r.Type)
	b = binary.NativeEndian.AppendUint16(b, r.Flags|unix.NLM_F_REQUEST)
	b = binary.NativeEndian.AppendUint32(b, seq)
	// With port 0, the kernel uses the port of the socket.
	b = binary.NativeEndian.AppendUint32(b, 0)
	return pad(append(b, r.Body...))
}

// AppendAttribute appends an attribute (struct nlattr) to the body of a request, or to the value of
// an outer attribute.
func AppendAttribute(b []byte, number int, value []byte) []byte {
	b = binary.NativeEndian.AppendUint16(b, uint16(unix.SizeofRtAttr+len(value)))
	b = binary.NativeEndian.AppendUint16(b, uint16(number))
	return pad(append(b, value...))
}

func pad(b []byte) []byte { return append(b, make([]byte, -len(b)&3)...) }

// ErrMalformed is the error for attributes whose lengths do not fit the message.
var ErrMalformed = errors.New("the kernel sent a malformed attribute")

// Attributes holds the values of attributes by their numbers. Attributes with larger numbers are
// ignored.
type Attributes [32][]byte

// typeMask removes the flags from the number of an attribute (include/uapi/linux/netlink.h,
// NLA_TYPE_MASK).
const typeMask = 0x3fff

// Parse reads attributes. It replaces nl.ParseRouteAttr, which panics on wrong lengths.
func Parse(data []byte) (found Attributes, err error) {
	for len(data) >= unix.SizeofRtAttr {
		length := int(binary.NativeEndian.Uint16(data))
		number := binary.NativeEndian.Uint16(data[2:]) & typeMask
		if length < unix.SizeofRtAttr || length > len(data) {
			return found, ErrMalformed
		}
		if int(number) < len(found) {
			found[number] = data[unix.SizeofRtAttr:length]
		}
		data = data[min((length+3)&^3, len(data)):]
	}
	return found, nil
}

// Uint32 returns an attribute of 4 bytes, or zero if the kernel did not send it.
func (a *Attributes) Uint32(number int) uint32 {
	if len(a[number]) < 4 {
		return 0
	}
	return binary.NativeEndian.Uint32(a[number])
}

// Uint16 returns an attribute of 2 bytes, or zero if the kernel did not send it.
func (a *Attributes) Uint16(number int, order binary.ByteOrder) uint16 {
	if len(a[number]) < 2 {
		return 0
	}
	return order.Uint16(a[number])
}

// Text returns a text attribute, or an empty text if the kernel did not send it.
func (a *Attributes) Text(number int) string { return unix.ByteSliceToString(a[number]) }

// errno returns the error in an acknowledgement or at the end of a dump.
func errno(m syscall.NetlinkMessage) error {
	if m.Header.Type != unix.NLMSG_ERROR && m.Header.Type != unix.NLMSG_DONE || len(m.Data) < 4 {
		return nil
	}
	if n := int32(binary.NativeEndian.Uint32(m.Data)); n != 0 {
		return syscall.Errno(-n)
	}
	return nil
}

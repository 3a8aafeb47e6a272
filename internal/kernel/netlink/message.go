package netlink

import (
	"encoding/binary"
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// Request is a message to the kernel: the fixed part of its type, then attributes.
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
	b = binary.NativeEndian.AppendUint32(b, 0) // from this socket
	return pad(append(b, r.Body...))
}

// AppendAttribute appends an attribute to the body of a request, or to the value of an
// attribute around it (struct nlattr).
func AppendAttribute(b []byte, number int, value []byte) []byte {
	b = binary.NativeEndian.AppendUint16(b, uint16(unix.SizeofRtAttr+len(value)))
	b = binary.NativeEndian.AppendUint16(b, uint16(number))
	return pad(append(b, value...))
}

func pad(b []byte) []byte { return append(b, make([]byte, -len(b)&3)...) }

// ErrMalformed says that attributes of the kernel do not add up.
var ErrMalformed = errors.New("the kernel sent a malformed attribute")

// Attributes holds the values of attributes by their numbers. Larger numbers are left out.
type Attributes [32][]byte

// typeMask takes the flags off the number of an attribute (include/uapi/linux/netlink.h,
// NLA_TYPE_MASK).
const typeMask = 0x3fff

// Parse reads attributes. (nl.ParseRouteAttr panics on lengths that do not add up.)
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

// Uint32 returns an attribute of 4 bytes, zero where the kernel sent nothing.
func (a *Attributes) Uint32(number int) uint32 {
	if len(a[number]) < 4 {
		return 0
	}
	return binary.NativeEndian.Uint32(a[number])
}

// Uint16 returns an attribute of 2 bytes, zero where the kernel sent nothing.
func (a *Attributes) Uint16(number int, order binary.ByteOrder) uint16 {
	if len(a[number]) < 2 {
		return 0
	}
	return order.Uint16(a[number])
}

// Text returns an attribute that is a text, empty where the kernel sent nothing.
func (a *Attributes) Text(number int) string { return unix.ByteSliceToString(a[number]) }

// errno is the error that an acknowledgement or the end of a dump carries.
func errno(m syscall.NetlinkMessage) error {
	if m.Header.Type != unix.NLMSG_ERROR && m.Header.Type != unix.NLMSG_DONE || len(m.Data) < 4 {
		return nil
	}
	if n := int32(binary.NativeEndian.Uint32(m.Data)); n != 0 {
		return syscall.Errno(-n)
	}
	return nil
}

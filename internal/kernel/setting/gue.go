package setting

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"os/exec"
	"strconv"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"lvs-agents/internal/host"
	knetlink "lvs-agents/internal/kernel/netlink"
)

// guePort returns On if the kernel receives tunnels of type GUE on the port. Without the module
// fou, it does not.
func guePort(ctx context.Context, s host.Setting) (string, error) {
	there := false
	err := withFOU(ctx, false, func(socket *knetlink.Socket, family uint16) error {
		list := knetlink.Request{Type: family, Body: []byte{netlink.FOU_CMD_GET, 1, 0, 0}}
		return socket.Dump(ctx, list, func() { there = false }, func(body []byte) {
			there = there || receivesGUE(body, s)
		})
	})
	if errors.Is(err, unix.ENOENT) {
		err = nil
	}
	return onOff(there), err
}

// receivesGUE reports whether a message describes the receiver of a setting
// (include/uapi/linux/fou.h).
func receivesGUE(body []byte, s host.Setting) bool {
	a, err := knetlink.Parse(body[min(unix.GENL_HDRLEN, len(body)):])
	one := func(number int) byte { return append(a[number], 0)[0] }
	port := strconv.Itoa(int(a.Uint16(netlink.FOU_ATTR_PORT, binary.BigEndian)))
	return err == nil && port == s.Name && one(netlink.FOU_ATTR_AF) == gueFamily(s) && one(netlink.FOU_ATTR_TYPE) == netlink.FOU_ENCAP_GUE
}

func gueFamily(s host.Setting) byte {
	if s.IP.Is6() {
		return unix.AF_INET6
	}
	return unix.AF_INET
}

func setGUEPort(ctx context.Context, s host.Setting, on bool) error {
	port, err := strconv.ParseUint(s.Name, 10, 16)
	if err != nil {
		return err
	}
	command := byte(netlink.FOU_CMD_DEL)
	if on {
		command = netlink.FOU_CMD_ADD
	}
	body := knetlink.AppendAttribute([]byte{command, 1, 0, 0}, netlink.FOU_ATTR_PORT, binary.BigEndian.AppendUint16(nil, uint16(port)))
	body = knetlink.AppendAttribute(body, netlink.FOU_ATTR_AF, []byte{gueFamily(s)})
	if on {
		body = knetlink.AppendAttribute(body, netlink.FOU_ATTR_TYPE, []byte{netlink.FOU_ENCAP_GUE})
	}
	err = withFOU(ctx, on, func(socket *knetlink.Socket, family uint16) error {
		_, err := socket.Execute(ctx, knetlink.Request{Type: family, Body: body})
		return err
	})
	if errors.Is(err, unix.ENOENT) && on {
		return host.NotInstalled("GUE is not in this kernel; modprobe fou, or use forward=ipip")
	}
	return err
}

// withFOU runs f with a socket and the number of the netlink family fou. If the kernel lacks the
// family and load is true, it first loads the module fou. The error is ENOENT if the kernel still
// lacks the family.
func withFOU(ctx context.Context, load bool, f func(socket *knetlink.Socket, family uint16) error) error {
	socket, err := knetlink.Dial(unix.NETLINK_GENERIC)
	if err != nil {
		return err
	}
	defer socket.Close()
	family, err := fouFamily(ctx, socket)
	if errors.Is(err, unix.ENOENT) && load {
		// fou has no alias for its netlink family, so the kernel cannot load the module itself.
		_ = exec.CommandContext(ctx, "/sbin/modprobe", "-q", "fou").Run()
		family, err = fouFamily(ctx, socket)
	}
	if err != nil {
		return err
	}
	return f(socket, family)
}

func fouFamily(ctx context.Context, socket *knetlink.Socket) (family uint16, err error) {
	body := knetlink.AppendAttribute([]byte{nl.GENL_CTRL_CMD_GETFAMILY, 1, 0, 0}, nl.GENL_CTRL_ATTR_FAMILY_NAME, nl.ZeroTerminated(netlink.FOU_GENL_NAME))
	bad := knetlink.ErrMalformed
	err = socket.Query(ctx, knetlink.Request{Type: nl.GENL_ID_CTRL, Body: body}, func(body []byte) {
		var a knetlink.Attributes
		a, bad = knetlink.Parse(body[min(unix.GENL_HDRLEN, len(body)):])
		family = a.Uint16(nl.GENL_CTRL_ATTR_FAMILY_ID, binary.NativeEndian)
	})
	return family, cmp.Or(err, bad)
}

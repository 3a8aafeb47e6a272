package ipvs

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/vishvananda/netlink/nl"

	"lvs-agents/internal/host"
	knetlink "lvs-agents/internal/kernel/netlink"
	"lvs-agents/internal/lvs"
)

// Commands and attributes of the synchronisation daemons, include/uapi/linux/ip_vs.h.
// moby/ipvs does not have them.
const (
	newDaemon = 9
	delDaemon = 10
	getDaemon = 11

	attrDaemon = 3

	daemonRole      = 1
	daemonInterface = 2
	daemonID        = 3
	daemonMaxLen    = 4
	daemonGroup     = 5
	daemonGroup6    = 6
	daemonPort      = 7
	daemonTTL       = 8
)

// SyncDaemons returns the synchronisation daemons of the network namespace, at most one of
// each role. It returns the same errors as Table.
func (k *Kernel) SyncDaemons(ctx context.Context) ([]lvs.SyncDaemon, error) {
	const what = "ipvsadm -L --daemon"
	if err := k.acquire(ctx); err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	defer k.release()
	var daemons []lvs.SyncDaemon
	err := k.retryReloaded(ctx, func() (err error) {
		daemons, err = k.daemons(ctx)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, translate(lvs.Op{}, err))
	}
	return daemons, nil
}

func (k *Kernel) daemons(ctx context.Context) (daemons []lvs.SyncDaemon, err error) {
	err = k.dump(ctx, getDaemon, nil, func(attrs []byte) error {
		d, err := decodeDaemon(attrs)
		daemons = append(daemons, d)
		return err
	}, func() { daemons = nil })
	return daemons, err
}

// StartSync starts a synchronisation daemon. Errors: fs.ErrExist if a daemon of this role runs,
// host.ErrNotInstalled without IPVS or the interface, and the errors of Table.
func (k *Kernel) StartSync(ctx context.Context, d lvs.SyncDaemon) error {
	err := k.locked(ctx, func() error {
		_, err := k.socket.Execute(ctx, message(k.family, newDaemon, encodeDaemon(d)))
		return err
	})
	switch {
	case errors.Is(err, syscall.ENODEV):
		err = host.NotInstalled("there is no interface %s", d.Interface)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		err = fmt.Errorf("interface %s has no IPv4 address; ip addr add one", d.Interface)
	case err == nil:
		return nil
	}
	return fmt.Errorf("ipvsadm --start-daemon %s: %w", d, translate(lvs.Op{}, err))
}

// StopSync stops the synchronisation daemon of a role, and returns nil if it does not run.
func (k *Kernel) StopSync(ctx context.Context, role lvs.SyncRole) error {
	err := k.locked(ctx, func() error { return k.stopDaemon(ctx, role) })
	if err == nil {
		return nil
	}
	return fmt.Errorf("ipvsadm --stop-daemon %s: %w", role, translate(lvs.Op{}, err))
}

// ackLimit is how long StopSync waits for an acknowledgement. The kernel handles the request, and
// sends any acknowledgement, before the system call that sends the request returns.
const ackLimit = 100 * time.Millisecond

// stopDaemon stops the daemon of a role. If the kernel does not acknowledge the stop, stopDaemon
// reads the daemons. For a daemon that has just started, the kernel sends no acknowledgement:
// kthread_stop returns EINTR, and netlink acknowledges no request with that error.
func (k *Kernel) stopDaemon(ctx context.Context, role lvs.SyncRole) error {
	limited, cancel := context.WithTimeout(ctx, ackLimit)
	defer cancel()
	attrs := knetlink.AppendAttribute(nil, attrDaemon, knetlink.AppendAttribute(nil, daemonRole, nl.Uint32Attr(uint32(role))))
	_, err := k.socket.Execute(limited, message(k.family, delDaemon, attrs))
	if err == nil || errors.Is(err, syscall.ESRCH) {
		return nil
	}
	daemons, failed := k.daemons(ctx)
	if failed != nil {
		return err
	}
	for _, d := range daemons {
		if d.Role == role {
			return err
		}
	}
	return nil
}

// locked runs change on an open socket while no other call runs.
func (k *Kernel) locked(ctx context.Context, change func() error) error {
	if err := k.acquire(ctx); err != nil {
		return err
	}
	defer k.release()
	return k.retryReloaded(ctx, change)
}

// Joined reports whether this host receives the datagrams of a multicast group on an interface. A
// backup daemon joins the group when it starts. The host leaves the group with the interface.
func (k *Kernel) Joined(nic string, group netip.Addr) (bool, error) {
	if group.Is6() {
		return joined6(nic, group)
	}
	return joined4(nic, group)
}

// joined4 reports whether an interface has joined an IPv4 multicast group. The file igmp has a line
// for each interface. Below that line, it has a line for each group of the interface.
func joined4(nic string, group netip.Addr) (bool, error) {
	text, err := os.ReadFile("/proc/thread-self/net/igmp")
	want := fmt.Sprintf("%08X", binary.NativeEndian.Uint32(group.AsSlice()))
	of := ""
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		switch {
		case len(words) < 2:
		case !strings.HasPrefix(line, "\t"):
			of = strings.TrimSuffix(words[1], ":") // a name of ten characters has no space after it
		case of == nic && words[0] == want:
			return true, nil
		}
	}
	return false, err
}

// joined6 reports whether an interface has joined an IPv6 multicast group. The file igmp6 has a
// line for each group of each interface.
func joined6(nic string, group netip.Addr) (bool, error) {
	text, err := os.ReadFile("/proc/thread-self/net/igmp6")
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		if len(words) > 2 && words[1] == nic && words[2] == hex.EncodeToString(group.AsSlice()) {
			return true, nil
		}
	}
	return false, err
}

// encodeDaemon encodes the options of a synchronisation daemon. It omits unset options, because the
// kernel chooses their values.
func encodeDaemon(d lvs.SyncDaemon) []byte {
	a := knetlink.AppendAttribute(nil, daemonRole, nl.Uint32Attr(uint32(d.Role)))
	a = knetlink.AppendAttribute(a, daemonInterface, nl.ZeroTerminated(d.Interface))
	a = knetlink.AppendAttribute(a, daemonID, nl.Uint32Attr(uint32(d.ID)))
	if d.MaxLen != 0 {
		a = knetlink.AppendAttribute(a, daemonMaxLen, nl.Uint16Attr(d.MaxLen))
	}
	switch {
	case d.Group.Is4():
		a = knetlink.AppendAttribute(a, daemonGroup, d.Group.AsSlice())
	case d.Group.IsValid():
		a = knetlink.AppendAttribute(a, daemonGroup6, d.Group.AsSlice())
	}
	if d.Port != 0 {
		a = knetlink.AppendAttribute(a, daemonPort, nl.Uint16Attr(d.Port))
	}
	if d.TTL != 0 {
		a = knetlink.AppendAttribute(a, daemonTTL, []byte{d.TTL})
	}
	return knetlink.AppendAttribute(nil, attrDaemon, a)
}

// decodeDaemon decodes a daemon that the kernel reports. A kernel before Linux 4.3 does not report
// the group, the port and the time to live, because it always uses the same values.
func decodeDaemon(data []byte) (lvs.SyncDaemon, error) {
	a, err := parseNested(data, attrDaemon)
	if err != nil {
		return lvs.SyncDaemon{}, err
	}
	d := lvs.SyncDaemon{
		Role:      lvs.SyncRole(a.Uint32(daemonRole)),
		Interface: a.Text(daemonInterface),
		ID:        uint8(a.Uint32(daemonID)),
		MaxLen:    a.Uint16(daemonMaxLen, binary.NativeEndian),
		Port:      a.Uint16(daemonPort, binary.NativeEndian),
	}
	if ttl := a[daemonTTL]; len(ttl) > 0 {
		d.TTL = ttl[0]
	}
	for _, group := range [][]byte{a[daemonGroup], a[daemonGroup6]} {
		if addr, ok := netip.AddrFromSlice(group); ok {
			d.Group = addr
		}
	}
	return d, nil
}

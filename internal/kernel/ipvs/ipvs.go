// Package ipvs reads and changes the IPVS table in the network namespace of the calling thread. It
// is the only importer of moby/ipvs, and the only package with IPVS' netlink messages and error
// numbers.
//
// moby/ipvs v1.1.0 writes a few virtual services. All other messages are built in this package and
// sent on one generic netlink socket, because moby/ipvs has these limits:
//
// - moby/ipvs sends no address family with a destination, and one change in a system call.
// - A caller cannot give moby/ipvs a deadline.
// - moby/ipvs reads weights as 16 bits, so a weight above 65535 is wrong after the read.
// - moby/ipvs costs too much time for a monitor that only reads.
//
// A process that reads two services takes 31.9 ms with this package, and 70.1 ms with moby/ipvs
// (34.3 ms without its modprobe). An empty Go program takes 22.6 ms. Each time is the best of 60
// runs in user-mode Linux. System calls about files, sockets and processes: 11 in the empty
// program, 32 with this package, 175 with moby/ipvs (65 without its modprobe). Most of the
// difference to the empty program is the first access to code pages: a second call of Table takes
// 0.15 ms.
package ipvs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"slices"
	"syscall"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	knetlink "lvs-agents/internal/kernel/netlink"
	"lvs-agents/internal/lvs"
)

// Kernel reads and changes IPVS in a network namespace. Several goroutines can use a Kernel; each
// call that needs a socket waits until the call before it has ended. The calling thread opens the
// sockets at their first use, in its network namespace. So a thread in another network namespace
// needs a separate Kernel.
type Kernel struct {
	// turn is a channel with one token. It works as a mutex with a deadline.
	turn   chan struct{}
	socket *knetlink.Socket // socket is the netlink socket. It is nil until its first use.
	// family is the number of the generic netlink family IPVS. It is 0 until the first use.
	family uint16
	// writer is the connection of moby/ipvs. It is nil until the first change of a service.
	writer *writer
}

// New returns a Kernel. It opens nothing, so it cannot fail, and IPVS can be loaded later.
func New() *Kernel {
	k := &Kernel{turn: make(chan struct{}, 1)}
	k.turn <- struct{}{}
	return k
}

// Close closes the sockets. The Kernel opens them again when it is used again.
func (k *Kernel) Close() error {
	<-k.turn
	defer k.release()
	k.closeSocket()
	k.closeWriter()
	return nil
}

// Table returns all virtual services and their destinations, in the order of ServiceID.Compare and
// of lvs.VirtualService. It includes services that this package cannot create (other protocols,
// unknown schedulers).
//
// The error is host.ErrNotInstalled without IPVS in the kernel, fs.ErrPermission without the right
// to read IPVS, and context.DeadlineExceeded after the deadline of ctx.
//
// The dump of a table is not a snapshot. If another process changes a long service during the dump,
// the dump can miss a destination that existed all the time. The kernel counts positions and does
// not report that a dump was interrupted (net/netfilter/ipvs/ip_vs_ctl.c, ip_vs_genl_dump_dests).
// If a dump has a destination twice, Table returns the destination once. If an entry is missing, a
// caller must read the table again before it adds or deletes. The second read must be under the
// lock that all writers of a node share.
func (k *Kernel) Table(ctx context.Context) (lvs.Table, error) {
	const what = "ipvsadm -Sn"
	if err := k.acquire(ctx); err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	defer k.release()
	var table lvs.Table
	err := k.retryReloaded(ctx, func() (err error) {
		table, err = k.table(ctx)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, translate(lvs.Op{}, err))
	}
	return table, nil
}

func (k *Kernel) table(ctx context.Context) (lvs.Table, error) {
	var table lvs.Table
	err := k.dump(ctx, getService, knetlink.AppendAttribute(nil, attrService, nil), func(attrs []byte) error {
		s, err := decodeService(attrs)
		table = append(table, lvs.VirtualService{Service: s})
		return err
	}, func() { table = nil })
	if err != nil {
		return nil, err
	}
	slices.SortFunc(table, func(a, b lvs.VirtualService) int { return a.ID.Compare(b.ID) })
	table = slices.CompactFunc(table, func(a, b lvs.VirtualService) bool { return a.ID == b.ID })
	for i := range table {
		if table[i].Destinations, err = k.destinations(ctx, table[i].ID); err != nil {
			return nil, err
		}
		// The kernel lists the newest destination first (ip_vs_ctl.c, list_add_rcu). The table has the
		// oldest first.
		slices.Reverse(table[i].Destinations)
		table[i] = table[i].Read()
	}
	return table, nil
}

// destinations returns the destinations of a service. If the service no longer exists, it returns
// an empty list and no error.
func (k *Kernel) destinations(ctx context.Context, id lvs.ServiceID) ([]lvs.Destination, error) {
	var list []lvs.Destination
	err := k.dump(ctx, getDestination, encodeID(id), func(attrs []byte) error {
		d, err := decodeDestination(attrs, id.Is6())
		list = append(list, d)
		return err
	}, func() { list = nil })
	return list, err
}

// dump dumps objects of the kernel. It calls the function begin before each attempt, and the
// function each with the attributes of every object.
func (k *Kernel) dump(ctx context.Context, command uint8, what []byte, each func([]byte) error, begin func()) error {
	// bad is the first error of the function each. The dump continues after this error, because a
	// complete read leaves the socket empty for the next dump.
	var bad error
	again := func() { begin(); bad = nil }
	err := k.socket.Dump(ctx, message(k.family, command, what), again, func(body []byte) {
		bad = cmp.Or(bad, each(body[min(genlHeader, len(body)):]))
	})
	return cmp.Or(err, bad)
}

// batch is the largest number of changes in one system call.
const batch = 64

// fewServices is the largest number of consecutive changes of services that moby/ipvs makes, one
// change in a system call. More changes are sent in batches.
const fewServices = 8

// Apply makes changes in order and returns the number of changes that succeeded before the first
// failure. The error starts with the failed change in ipvsadm syntax. Errors: host.ErrNotInstalled
// without IPVS or the scheduler, fs.ErrExist if an added entry exists, fs.ErrNotExist if a changed
// or deleted entry does not exist, fs.ErrPermission, context.DeadlineExceeded.
//
// Apply sends up to 64 consecutive changes of destinations together, and also many consecutive
// changes of services. The kernel continues after a change that it refuses. So after an error, the
// kernel can have made some of the changes after the failed change. After
// context.DeadlineExceeded, the error names the first change of the batch, and the kernel can have
// made all of them. After an error, the caller must read the table and not rely on the count.
func (k *Kernel) Apply(ctx context.Context, ops []lvs.Op) (done int, err error) {
	if len(ops) == 0 {
		return 0, nil
	}
	if err := k.acquire(ctx); err != nil {
		return 0, fmt.Errorf("%s: %w", ops[0], err)
	}
	defer k.release()
	for done < len(ops) {
		err := k.retryReloaded(ctx, func() error {
			n, err := k.step(ctx, ops[done:])
			done += n
			return err
		})
		if err != nil {
			return done, fmt.Errorf("%s: %w", ops[done], translate(ops[done], err))
		}
	}
	return done, nil
}

// step applies the first operation. If the next operations have the same kind, step also applies
// some of them, as Apply describes. It returns the number of operations that succeeded.
func (k *Kernel) step(ctx context.Context, ops []lvs.Op) (done int, err error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	run := sameKind(ops)
	if run <= fewServices && !ofDestination(ops[0]) {
		for _, op := range ops[:run] {
			if err := k.service(ctx, op); err != nil {
				return done, err
			}
			done++
		}
		return done, nil
	}
	requests, err := k.requests(ops[:min(batch, run)])
	if len(requests) == 0 {
		return 0, err
	}
	return k.socket.Execute(ctx, requests...)
}

// sameKind returns the number of operations at the beginning of ops that all change services, or
// that all change destinations.
func sameKind(ops []lvs.Op) int {
	other := func(op lvs.Op) bool { return ofDestination(op) != ofDestination(ops[0]) }
	if n := slices.IndexFunc(ops, other); n > 0 {
		return n
	}
	return len(ops)
}

// requests encodes operations. It stops at the first operation that it cannot encode.
func (k *Kernel) requests(ops []lvs.Op) (requests []knetlink.Request, err error) {
	for _, op := range ops {
		if !ofDestination(op) {
			command, attr := encodeService(op)
			requests = append(requests, message(k.family, command, attr))
			continue
		}
		command, attrs, err := encodeDestination(op)
		if err != nil {
			return requests, err
		}
		requests = append(requests, message(k.family, command, attrs...))
	}
	return requests, nil
}

func (k *Kernel) acquire(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-k.turn:
		return nil
	}
}

func (k *Kernel) release() { k.turn <- struct{}{} }

// retryReloaded runs f on an open socket. It runs f again if the family number of the messages has
// changed: ip_vs gets a new number each time it is loaded. ENOENT can also mean a missing
// destination, so retryReloaded compares the numbers.
func (k *Kernel) retryReloaded(ctx context.Context, f func() error) error {
	if err := k.open(ctx); err != nil {
		return err
	}
	err := f()
	if errors.Is(err, syscall.ENOENT) {
		before := k.family
		k.family = 0
		if err := k.open(ctx); err != nil {
			return err
		}
		if k.family != before {
			err = f()
		}
	}
	if k.socket != nil && k.socket.Broken {
		k.closeSocket()
	}
	return err
}

// open opens the socket and makes sure that IPVS is in the kernel. A query for the family makes the
// kernel load the module by its alias (net/netlink/genetlink.c, ctrl_getfamily). If that fails,
// open runs modprobe.
func (k *Kernel) open(ctx context.Context) (err error) {
	if k.socket == nil {
		if k.socket, err = knetlink.Dial(unix.NETLINK_GENERIC); err != nil {
			return err
		}
		k.family = 0
	}
	if k.family != 0 {
		return nil
	}
	k.family, err = lookup(ctx, k.socket)
	if errors.Is(err, syscall.ENOENT) {
		_ = exec.CommandContext(ctx, "/sbin/modprobe", "-q", "ip_vs").Run()
		k.family, err = lookup(ctx, k.socket)
	}
	if errors.Is(err, syscall.ENOENT) {
		err = absent()
	}
	if err != nil {
		k.closeSocket()
	}
	return err
}

// lookup returns the number of the family IPVS, or syscall.ENOENT without IPVS.
func lookup(ctx context.Context, socket *knetlink.Socket) (id uint16, err error) {
	name := knetlink.AppendAttribute(nil, nl.GENL_CTRL_ATTR_FAMILY_NAME, nl.ZeroTerminated("IPVS"))
	bad := knetlink.ErrMalformed
	err = socket.Query(ctx, message(nl.GENL_ID_CTRL, nl.GENL_CTRL_CMD_GETFAMILY, name), func(body []byte) {
		id, bad = decodeFamily(body[min(genlHeader, len(body)):])
	})
	return id, cmp.Or(err, bad)
}

func (k *Kernel) closeSocket() {
	if k.socket != nil {
		k.socket.Close()
	}
	k.socket, k.family = nil, 0
}

// ofDestination reports whether an operation changes a destination.
func ofDestination(op lvs.Op) bool {
	return op.Verb == lvs.AddDestination || op.Verb == lvs.EditDestination || op.Verb == lvs.DeleteDestination
}

// addrPort reads an address from the first 4 or 16 bytes; the kernel pads IPv4 addresses to 16.
func addrPort(raw []byte, ipv6 bool, port uint16) (netip.AddrPort, error) {
	size := 4
	if ipv6 {
		size = 16
	}
	if len(raw) < size {
		return netip.AddrPort{}, knetlink.ErrMalformed
	}
	addr, _ := netip.AddrFromSlice(raw[:size])
	return netip.AddrPortFrom(addr, port), nil
}

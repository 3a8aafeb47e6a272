// Package ipvs reads and changes the IPVS table of the network namespace that
// the calling thread is in. It is the only importer of moby/ipvs and the only
// place that knows IPVS' netlink messages and error numbers.
//
// moby/ipvs writes virtual services. The rest goes through messages of our own
// on one generic netlink socket, because moby/ipvs v1.1.0 sends no address
// family with a destination and one destination in a system call, cannot take a
// deadline, reads weights as 16 bits, and costs too much for a monitor that
// only reads. Whole processes that read two services, in user-mode Linux, best
// of 60: empty Go program 22.6 ms, this package 31.9 ms, moby/ipvs 70.1 ms
// (34.3 ms without its modprobe). System calls about files, sockets and
// processes: 11, 32, 175 (65). Most of what is left above the empty program is
// the first touch of code pages: a second Table takes 0.15 ms.
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

// Kernel is the IPVS of this kernel in the network namespace of the process. It
// may be used by several goroutines; they take turns. A thread that moved to
// another namespace needs a Kernel of its own, since sockets are opened when
// they are needed, by the thread that needs them.
type Kernel struct {
	turn   chan struct{}    // holds one token; a mutex that obeys a deadline
	socket *knetlink.Socket // nil until the first use
	family uint16           // IPVS' number in generic netlink
	writer *writer          // nil until the first change of a service
}

// New returns a Kernel and opens nothing: it cannot fail, and IPVS may be
// loaded later.
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

// Table returns all virtual services and their destinations, in the order of
// ServiceID.Compare and of lvs.VirtualService. Services that this package would not
// create (other protocols, unknown schedulers) are in it as they are.
//
// Errors: host.ErrNotInstalled without IPVS in the kernel, fs.ErrPermission,
// context.DeadlineExceeded.
//
// A dump is not a snapshot: while another process adds or deletes destinations
// of a long service, one that is there throughout can be missing (the kernel
// counts positions, net/netfilter/ipvs/ip_vs_ctl.c, ip_vs_genl_dump_dests, and
// never says that a dump was interrupted). One listed twice is returned once.
// Whoever is about to add or delete because something is missing reads again
// first, under the lock that all writers of a node share.
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
		if table[i].Destinations, err = k.destinations(ctx, table[i].Service); err != nil {
			return nil, err
		}
	}
	return table, nil
}

// destinations returns nothing, and no error, for a service that is gone.
func (k *Kernel) destinations(ctx context.Context, service lvs.Service) ([]lvs.Destination, error) {
	var list []lvs.Destination
	err := k.dump(ctx, getDestination, encodeID(service.ID), func(attrs []byte) error {
		d, err := decodeDestination(attrs, service.ID.Is6())
		list = append(list, d)
		return err
	}, func() { list = nil })
	if service.Scheduler.Hashes() {
		return inOrderOfAddition(list), err
	}
	slices.SortFunc(list, func(a, b lvs.Destination) int { return a.Addr.Compare(b.Addr) })
	return slices.CompactFunc(list, func(a, b lvs.Destination) bool { return a.Addr == b.Addr }), err
}

// inOrderOfAddition reverses a dump, which begins with the newest destination
// (ip_vs_ctl.c, list_add_rcu), and drops what it lists twice.
func inOrderOfAddition(list []lvs.Destination) []lvs.Destination {
	slices.Reverse(list)
	seen := make(map[netip.AddrPort]bool, len(list))
	return slices.DeleteFunc(list, func(d lvs.Destination) bool {
		again := seen[d.Addr]
		seen[d.Addr] = true
		return again
	})
}

// dump calls each with the attributes of every object, and begin before each attempt.
func (k *Kernel) dump(ctx context.Context, command uint8, what []byte, each func([]byte) error, begin func()) error {
	var bad error // the dump is read to its end: the next one starts clean
	again := func() { begin(); bad = nil }
	err := k.socket.Dump(ctx, message(k.family, command, what), again, func(body []byte) {
		bad = cmp.Or(bad, each(body[min(genlHeader, len(body)):]))
	})
	return cmp.Or(err, bad)
}

// batch is the largest number of destinations that one system call changes.
const batch = 64

// Apply makes changes in order and returns how many succeeded before the first
// that did not; the error starts with that change in ipvsadm syntax. Errors:
// host.ErrNotInstalled without IPVS or the scheduler, fs.ErrExist for adding
// what is there, fs.ErrNotExist for changing or deleting what is not,
// fs.ErrPermission, context.DeadlineExceeded.
//
// Up to 64 changes of destinations in a row are sent together and the kernel
// goes on after one that it refuses: after an error some changes behind the
// failed one may have been made too. After context.DeadlineExceeded the failed
// change itself may have been made. Read the table then; do not count.
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

// step applies the first op, or the destinations that the ops start with.
func (k *Kernel) step(ctx context.Context, ops []lvs.Op) (done int, err error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if !ofDestination(ops[0]) {
		if err := k.service(ctx, ops[0]); err != nil {
			return 0, err
		}
		return 1, nil
	}
	requests, err := k.requests(ops[:min(batch, len(ops))])
	if len(requests) == 0 {
		return 0, err
	}
	return k.socket.Execute(ctx, requests...)
}

// requests encodes the changes of destinations that ops start with, up to the
// first that cannot be encoded.
func (k *Kernel) requests(ops []lvs.Op) (requests []knetlink.Request, err error) {
	for _, op := range ops {
		if !ofDestination(op) {
			break
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

// retryReloaded runs f on an open socket, and once more when the kernel does
// not know the family of the messages any more: ip_vs gets another number each
// time it is loaded. A missing destination is ENOENT too, so the number decides.
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

// open makes sure that IPVS is in the kernel. Asking for the family makes the
// kernel load the module by its alias (net/netlink/genetlink.c,
// ctrl_getfamily); modprobe is run only where that was in vain.
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
		err = errAbsent
	}
	if err != nil {
		k.closeSocket()
	}
	return err
}

// lookup returns the number of the family IPVS; syscall.ENOENT without IPVS.
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

// ofDestination tells whether an op changes a destination.
func ofDestination(op lvs.Op) bool {
	return op.Verb == lvs.AddDestination || op.Verb == lvs.EditDestination || op.Verb == lvs.DeleteDestination
}

// addrPort takes the address out of 4 or 16 bytes; the kernel pads IPv4 to 16.
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

// Package kerneltest is for tests of code that uses the kernel. It has fakes that are as strict as
// the kernel, and suites that both the fakes and the kernel pass. For tests that need the real
// kernel, it has network namespaces.
package kerneltest

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"lvs-agents/internal/host"
	"lvs-agents/internal/lvs"
)

// IPVS is a fake of the kernel's IPVS. It has the methods of internal/kernel/ipvs and behaves as
// Linux 6.1 does. The fake host has the addresses 127.0.0.0/8 and ::1. Tests set the fields before
// the first call or between two calls.
type IPVS struct {
	// Missing makes the fake a kernel without IPVS.
	Missing bool
	// Stall makes every call wait until its context ends.
	Stall bool
	// Schedulers are the schedulers that the kernel has or can load.
	Schedulers []string
	// OnlyIPIP makes the fake a kernel before Linux 5.2, which stores each tunnel as IP-in-IP.
	OnlyIPIP bool
	// Still makes the fake a host that forwards no packets.
	Still bool
	// Replaced makes the fake a host whose interfaces were removed and created again.
	Replaced bool

	mu      sync.Mutex
	table   lvs.Table
	last    map[place]int // last has the last weight of each destination, see setLastLocked.
	daemons []lvs.SyncDaemon
	// timeouts are the changed timeouts.
	timeouts lvs.Timeouts
	faults   faults
}

// place identifies a destination of a service.
type place struct {
	service     lvs.ServiceID
	destination netip.AddrPort
}

// NewIPVS returns a fake with an empty table and the schedulers of Linux 6.1.
func NewIPVS() *IPVS {
	has := slices.DeleteFunc(lvs.Schedulers(), func(name string) bool { return name == "twos" })
	return &IPVS{Schedulers: has}
}

// FailAfter makes one operation fail with err, after n more operations have succeeded. The
// operations after the failure succeed again.
func (k *IPVS) FailAfter(n int, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.faults = faults{after: n, err: err}
}

// String returns the table as `ipvsadm -Sn` prints it.
func (k *IPVS) String() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return sorted(k.table).String()
}

// Hash returns the destinations of each service with mh, sh or dh in the order of their addition,
// with the weights that count: see slotsLocked. The kernel makes the hash table from them. Two
// directors with the same text choose the same real server for the same client. A service has one
// line.
func (k *IPVS) Hash() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	var b strings.Builder
	for _, v := range sorted(k.table) {
		if !v.Scheduler.Hashes() {
			continue
		}
		fmt.Fprintf(&b, "%s -s %s", v.ID, v.Scheduler)
		for _, addr := range v.Order {
			fmt.Fprintf(&b, " %s=%d", addr, k.slotsLocked(v, addr))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// slotsLocked returns the weight that decides the slots of a destination: with mh the last weight,
// with sh the current weight but at least 1, and with dh 1. The caller has the mutex.
func (k *IPVS) slotsLocked(v lvs.VirtualService, addr netip.AddrPort) int {
	switch {
	case v.Scheduler.KeepsSlots():
		return k.last[place{v.ID, addr}]
	case v.Scheduler == "dh":
		return 1
	}
	at := slices.IndexFunc(v.Destinations, func(d lvs.Destination) bool { return d.Addr == addr })
	return max(1, v.Destinations[at].Weight)
}

// Forwards reports whether the fake host forwards packets. It does so unless Still is set.
func (k *IPVS) Forwards(bool) bool { return !k.Still }

// Close does nothing.
func (k *IPVS) Close() error { return nil }

// Lacks returns the error of a kernel without the scheduler twos.
func (k *IPVS) Lacks(t lvs.Table) error {
	for _, v := range t {
		if v.Scheduler == "twos" {
			return host.NotInstalled("scheduler %q is not available; modprobe ip_vs_%s", v.Scheduler, v.Scheduler)
		}
	}
	return nil
}

// Table returns the virtual services of the fake kernel, as Table of package ipvs does.
func (k *IPVS) Table(ctx context.Context) (lvs.Table, error) {
	if err := k.open(ctx); err != nil {
		return nil, fmt.Errorf("ipvsadm -Sn: %w", err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return sorted(k.table), nil
}

// Timeouts returns the timeouts of connections, at first the defaults of Linux.
func (k *IPVS) Timeouts(ctx context.Context) (lvs.Timeouts, error) {
	if err := k.open(ctx); err != nil {
		return lvs.Timeouts{}, fmt.Errorf("ipvsadm -L --timeout: %w", err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	t := lvs.Timeouts{15 * time.Minute, 2 * time.Minute, 5 * time.Minute}
	for i, d := range k.timeouts {
		t[i] = cmp.Or(d, t[i])
	}
	return t, nil
}

// SetTimeouts changes the timeouts that are not zero.
func (k *IPVS) SetTimeouts(ctx context.Context, t lvs.Timeouts) error {
	if err := k.open(ctx); err != nil {
		return fmt.Errorf("%s: %w", t, err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.faults.next(); err != nil {
		return fmt.Errorf("%s: %w", t, err)
	}
	for i, d := range t {
		k.timeouts[i] = cmp.Or(d, k.timeouts[i])
	}
	return nil
}

func sorted(t lvs.Table) lvs.Table {
	t = slices.Clone(t)
	slices.SortFunc(t, func(a, b lvs.VirtualService) int { return a.ID.Compare(b.ID) })
	for i := range t {
		t[i] = t[i].Read()
	}
	return t
}

func (k *IPVS) open(ctx context.Context) error {
	if k.Stall {
		<-ctx.Done()
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if k.Missing {
		return host.NotInstalled("IPVS is not in this kernel; modprobe ip_vs")
	}
	return nil
}

// batch is the number of changes that the kernel gets in one message. Up to fewServices consecutive
// changes of services are separate messages.
const (
	batch       = 64
	fewServices = 8
)

// Apply makes changes in order and returns the number of changes that succeeded before the first
// failure. The kernel gets the changes in batches. After a failed change, both the kernel and this
// fake still make the later changes of the same batch.
func (k *IPVS) Apply(ctx context.Context, ops []lvs.Op) (done int, err error) {
	if len(ops) == 0 {
		return 0, nil
	}
	if err := k.open(ctx); err != nil {
		return 0, fmt.Errorf("%s: %w", ops[0], err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for done < len(ops) {
		run := 1
		for run < len(ops)-done && ofDestination(ops[done]) == ofDestination(ops[done+run]) {
			run++
		}
		if run <= fewServices && !ofDestination(ops[done]) {
			run = 1
		}
		run = min(run, batch)
		n, err := k.runLocked(ops[done : done+run])
		done += n
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

// runLocked applies all operations. It returns the first error, and the number of operations that
// succeeded before the first error. The caller has the mutex.
func (k *IPVS) runLocked(ops []lvs.Op) (done int, first error) {
	for _, op := range ops {
		err := k.applyLocked(op)
		if first == nil {
			first = err
		}
		if first == nil {
			done++
		}
	}
	return done, first
}

func (k *IPVS) applyLocked(op lvs.Op) error {
	if err := k.faults.next(); err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	if err := k.refuse(op); err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	if op.Destination.Addr.Addr().IsLoopback() {
		op.Destination.Forward = lvs.Local
	}
	if op.Destination.Forward != lvs.Tunnel || k.OnlyIPIP {
		op.Destination.Encapsulation = lvs.Encapsulation{}
	}
	if op.Service.Persistence == 0 {
		op.Service.Engine = ""
	}
	full := 32
	if op.Service.ID.Is6() {
		full = 128
	}
	if op.Service.Granularity == full {
		op.Service.Granularity = 0
	}
	next, err := k.table.Apply(op)
	if err != nil {
		return err
	}
	k.table = next
	k.setLastLocked(op)
	return nil
}

// setLastLocked stores the last weight of a destination as the kernel does: a new destination
// begins with its weight, and afterwards weight 0 does not count (ip_vs_ctl.c,
// __ip_vs_update_dest). The caller has the mutex.
func (k *IPVS) setLastLocked(op lvs.Op) {
	if k.last == nil {
		k.last = map[place]int{}
	}
	if d := op.Destination; op.Verb == lvs.AddDestination || op.Verb == lvs.EditDestination && d.Weight > 0 {
		k.last[place{op.Service.ID, d.Addr}] = d.Weight
	}
}

// refuse returns the error of the kernel for an operation that the kernel refuses. It makes the
// checks of net/netfilter/ipvs/ip_vs_ctl.c in their order.
func (k *IPVS) refuse(op lvs.Op) error {
	d, has := op.Destination, false
	for _, v := range k.table {
		has = has || v.ID == op.Service.ID
	}
	switch op.Verb {
	case lvs.AddService, lvs.EditService:
		if has != (op.Verb == lvs.EditService) {
			return nil // Table.Apply returns the error
		}
		if s := op.Service.Scheduler; !slices.Contains(k.Schedulers, string(s)) {
			return host.NotInstalled("scheduler %q is not available; modprobe ip_vs_%s", s, s)
		}
		if e := op.Service.Engine; e != "" && e != lvs.SIP {
			s := op.Service.Scheduler
			return host.NotInstalled("scheduler %q or persistence engine %q is not available; modprobe ip_vs_%s, modprobe ip_vs_pe_%s", s, e, s, e)
		}
	case lvs.AddDestination, lvs.EditDestination:
		switch {
		case !has:
			return fs.ErrNotExist
		case d.Forward < lvs.Masq || d.Forward > lvs.Bypass:
			return fmt.Errorf("unknown forwarding method %d", d.Forward)
		case d.Addr.Addr().Is6() != op.Service.ID.Is6() && d.Forward != lvs.Tunnel:
			return syscall.EINVAL
		case d.Encapsulation.Type == lvs.GUE && d.Encapsulation.Port == 0:
			return syscall.EINVAL
		case d.Weight < 0 || d.Lower > d.Upper:
			return syscall.ERANGE
		}
	case lvs.DeleteDestination, lvs.DeleteService: // Table.Apply returns the error
	}
	return nil
}

func ofDestination(op lvs.Op) bool {
	return op.Verb == lvs.AddDestination || op.Verb == lvs.EditDestination || op.Verb == lvs.DeleteDestination
}

// faults makes one operation fail. The zero value lets every operation succeed.
type faults struct {
	after int
	err   error
}

func (f *faults) next() error {
	if f.after > 0 || f.err == nil {
		f.after--
		return nil
	}
	err := f.err
	f.err = nil
	return err
}

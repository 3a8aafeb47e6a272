package ipvs

import (
	"context"
	"errors"
	"net"
	"syscall"
	"time"

	"github.com/moby/ipvs"

	"lvs-agents/internal/lvs"
)

// writer changes services through moby/ipvs.
//
// moby/ipvs queries the number of the IPVS family once in the life of the process. If the query
// fails, moby/ipvs uses the number 0. The kernel acknowledges messages with number 0 without
// reading them (moby/ipvs issue 27). After ip_vs was unloaded and loaded again, the number of
// moby/ipvs is stale. So confirm repeats the first successful changes of a writer with a message of
// this package. After an ENOENT, the method service also repeats the change with a message of this
// package.
type writer struct {
	handle    *ipvs.Handle
	confirmed bool // confirmed says that the kernel has made a change that moby/ipvs sent.
	// blind says that messages of moby/ipvs do not reach IPVS. Then this package sends its own
	// messages.
	blind bool
}

// service changes a service. The error ENOENT of moby/ipvs can mean that its family number is
// stale. It can also mean that the scheduler is missing. Then the kernel returns ENOENT to the
// message of this package too.
func (k *Kernel) service(ctx context.Context, op lvs.Op) error {
	if err := k.openWriter(); err != nil {
		return err
	}
	if !k.writer.blind {
		err := k.guard(ctx, func(h *ipvs.Handle) error { return write(h, op) })
		if err == nil {
			return k.confirm(ctx, op)
		}
		if !errors.Is(err, syscall.ENOENT) {
			return err
		}
	}
	err := k.send(ctx, op)
	if k.writer != nil && err == nil {
		k.writer.blind = true
	}
	return err
}

// send changes a service with a message of this package.
func (k *Kernel) send(ctx context.Context, op lvs.Op) error {
	command, attr := encodeService(op)
	_, err := k.socket.Execute(ctx, message(k.family, command, attr))
	return err
}

// confirm repeats a successful change of a writer with a message of this package, until the
// kernel's error shows that moby/ipvs has made a change: EEXIST for an added service, ESRCH for a
// deleted service. A repeated edit does no harm and shows nothing. ENOENT means that the family
// number of this package is stale. After an edit or ENOENT, confirm also repeats the next change.
func (k *Kernel) confirm(ctx context.Context, op lvs.Op) error {
	if k.writer == nil || k.writer.confirmed {
		return nil
	}
	err := k.send(ctx, op)
	switch {
	case op.Verb == lvs.AddService && errors.Is(err, syscall.EEXIST),
		op.Verb == lvs.DeleteService && errors.Is(err, syscall.ESRCH):
		k.writer.confirmed = true
		return nil
	case errors.Is(err, syscall.ENOENT):
		return nil
	case err == nil && op.Verb != lvs.EditService:
		k.writer.blind = true
	}
	return err
}

// guard runs f with the handle of moby/ipvs and closes the handle when ctx ends. Without the close,
// moby/ipvs would wait forever for a reply that was lost.
func (k *Kernel) guard(ctx context.Context, f func(*ipvs.Handle) error) error {
	h := k.writer.handle
	stop := context.AfterFunc(ctx, h.Close)
	err := f(h)
	if stop() {
		return err
	}
	k.writer = nil
	if err != nil {
		return ctx.Err()
	}
	return nil
}

func write(h *ipvs.Handle, op lvs.Op) error {
	id := op.Service.ID
	s := &ipvs.Service{AddressFamily: family(id.Is6()), FWMark: id.Mark}
	if !id.IsMark() {
		s.Protocol = uint16(id.Protocol)
		s.Address = net.IP(id.Addr.Addr().AsSlice())
		s.Port = id.Addr.Port()
	}
	if op.Verb == lvs.DeleteService {
		return h.DelService(s)
	}
	s.SchedName, s.PEName = string(op.Service.Scheduler), string(op.Service.Engine)
	s.Timeout = uint32(op.Service.Persistence / time.Second)
	s.Flags, s.Netmask = serviceBits(op.Service)
	if op.Verb == lvs.EditService {
		return h.UpdateService(s)
	}
	return h.NewService(s)
}

// openWriter opens moby/ipvs. The first ipvs.New of a process runs modprobe, and logs a warning if
// modprobe fails. moby/ipvs has no option to prevent this. The module is already loaded at that
// time, so modprobe only costs time, once in a process that changes a service.
func (k *Kernel) openWriter() error {
	if k.writer != nil {
		return nil
	}
	h, err := ipvs.New("")
	if err != nil {
		return err
	}
	k.writer = &writer{handle: h}
	return nil
}

func (k *Kernel) closeWriter() {
	if k.writer != nil {
		k.writer.handle.Close()
	}
	k.writer = nil
}

package ipvs

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/moby/ipvs"
	"github.com/sirupsen/logrus"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"lvs-agents/internal/lvs"
)

// writer changes services through moby/ipvs. blind is true once moby/ipvs was
// seen not to reach IPVS: it asks for the family's number once in the life of
// the process, keeps a failure as number 0, and the kernel acknowledges
// messages with that number without a look at them (moby/ipvs issue 27).
type writer struct {
	handle *ipvs.Handle
	blind  bool
}

// service changes a service. ENOENT may mean that ip_vs was loaded anew and
// moby/ipvs still sends the old number, for which there is no other cure than
// sending the message ourselves. It may also mean that the scheduler is
// missing; then our own message gets the same answer.
func (k *Kernel) service(ctx context.Context, op lvs.Op) error {
	if err := k.openWriter(ctx); err != nil {
		return err
	}
	if !k.writer.blind {
		err := k.guard(ctx, func(h *ipvs.Handle) error { return write(h, op) })
		if !errors.Is(err, syscall.ENOENT) {
			return err
		}
	}
	command, attr := encodeService(op)
	_, err := k.socket.execute(ctx, []*nl.NetlinkRequest{k.message(command, unix.NLM_F_ACK, attr)})
	k.writer.blind = k.writer.blind || err == nil
	return err
}

// guard runs f with the handle and closes the handle when ctx ends: moby/ipvs
// waits for ever for an answer that is lost, unless its socket is closed.
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
	s.SchedName = string(op.Service.Scheduler)
	s.Timeout = uint32(op.Service.Persistence / time.Second)
	s.Flags, s.Netmask = serviceBits(op.Service)
	if op.Verb == lvs.EditService {
		return h.UpdateService(s)
	}
	return h.NewService(s)
}

// openWriter opens moby/ipvs; the family is known to be in the kernel.
func (k *Kernel) openWriter(ctx context.Context) error {
	if k.writer != nil {
		return nil
	}
	h, err := k.newHandle()
	if err != nil {
		return err
	}
	k.writer = &writer{handle: h}
	blind := false
	err = k.guard(ctx, func(h *ipvs.Handle) error {
		// No kernel has a service of this family; only one that did not look says so.
		blind = h.IsServicePresent(&ipvs.Service{AddressFamily: unix.AF_UNIX, Netmask: 1})
		return nil
	})
	if k.writer == nil {
		return cmp.Or(err, ctx.Err())
	}
	k.writer.blind = blind
	return nil
}

// newHandle keeps the first ipvs.New of a process from running modprobe, which
// costs more than the rest of an agent and has nothing left to do here, and
// from reporting on the standard logger that it could not.
func (k *Kernel) newHandle() (*ipvs.Handle, error) {
	if k.quiet {
		return ipvs.New("")
	}
	k.quiet = true
	if path, set := os.LookupEnv("PATH"); set { //nolint:forbidigo // hides modprobe from ipvs.New; nothing is read for us
		_ = os.Setenv("PATH", "")
		defer func() { _ = os.Setenv("PATH", path) }()
	}
	logger := logrus.StandardLogger()
	out := logger.Out
	logger.SetOutput(io.Discard)
	defer logger.SetOutput(out)
	return ipvs.New("")
}

func (k *Kernel) closeWriter() {
	if k.writer != nil {
		k.writer.handle.Close()
	}
	k.writer = nil
}

package netlink

import (
	"context"
	"errors"
	"io/fs"
	"syscall"

	"github.com/vishvananda/netlink/nl"
)

// ErrDumpInterrupted says that objects changed during a dump: some can be missing, or be
// there twice. It is the error of vishvananda/netlink too.
var ErrDumpInterrupted = nl.ErrDumpInterrupted

// Translate returns what an error number of the kernel means to most requests. vishvananda/netlink reports a missed deadline as EAGAIN.
func Translate(err error) error {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return err
	}
	switch errno {
	case syscall.EAGAIN:
		return context.DeadlineExceeded
	case syscall.EEXIST:
		return fs.ErrExist
	case syscall.EADDRNOTAVAIL, syscall.ESRCH:
		return fs.ErrNotExist
	case syscall.EPERM:
		return fs.ErrPermission
	default:
		return err
	}
}

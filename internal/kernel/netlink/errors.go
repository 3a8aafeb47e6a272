package netlink

import (
	"context"
	"errors"
	"io/fs"
	"syscall"

	"github.com/vishvananda/netlink/nl"
)

// ErrDumpInterrupted means that objects changed during a dump. The dump can miss some objects, or
// have some objects twice. vishvananda/netlink returns the same error.
var ErrDumpInterrupted = nl.ErrDumpInterrupted

// Translate turns an error number of the kernel into an error of the packages fs and context, or
// returns it unchanged. vishvananda/netlink reports a missed deadline as EAGAIN.
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

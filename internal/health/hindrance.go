package health

import (
	"errors"
	"slices"
	"syscall"
	"time"
)

// hindrance is why this host could not send a check, which says nothing about
// the server.
type hindrance struct {
	err          error
	seen, logged time.Time
}

// hinders tells whether an error of a check is this host's: it lacks descriptors,
// memory, processes or ports.
func hinders(err error) bool {
	errno, ok := errors.AsType[syscall.Errno](err)
	return ok && slices.Contains([]syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.EAGAIN, syscall.EADDRINUSE}, errno)
}

// note takes an error and tells whether it is time to log it.
func (h *hindrance) note(now time.Time, err error) bool {
	const seldom = time.Minute
	h.err, h.seen = err, now
	if now.Sub(h.logged) < seldom {
		return false
	}
	h.logged = now
	return true
}

// trouble is the error while it lasts.
func (h *hindrance) trouble(now time.Time, while time.Duration) error {
	if h.err == nil || now.Sub(h.seen) > while {
		return nil
	}
	return h.err
}

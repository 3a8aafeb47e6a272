package health

import (
	"errors"
	"slices"
	"syscall"
	"time"
)

// localFault is the last error that prevented this host from sending a check. The error does not
// change verdicts.
type localFault struct {
	err error // err is the error. It is nil if this host could always send its checks.
	// seen is when the error last occurred, and logged is when it was last logged.
	seen, logged time.Time
}

// ofThisHost reports whether a check failed because this host lacks descriptors, memory, processes
// or ports.
func ofThisHost(err error) bool {
	errno, ok := errors.AsType[syscall.Errno](err)
	return ok && slices.Contains([]syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.EAGAIN, syscall.EADDRINUSE}, errno)
}

// note stores an error, and reports whether the caller must log it now: at most once a minute.
func (f *localFault) note(now time.Time, err error) bool {
	const seldom = time.Minute
	f.err, f.seen = err, now
	if now.Sub(f.logged) < seldom {
		return false
	}
	f.logged = now
	return true
}

// trouble returns the last error if it is not older than the duration while, else nil.
func (f *localFault) trouble(now time.Time, while time.Duration) error {
	if f.err == nil || now.Sub(f.seen) > while {
		return nil
	}
	return f.err
}

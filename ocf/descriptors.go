package ocf

import (
	"errors"

	"golang.org/x/sys/unix"
)

// needed is how many files an action has open at once after the first three: Go's poller (two), a
// lock, a record and a socket.
const needed = 5

// room returns an error if fewer than count more files can be open at once.
func room(count int) error {
	var opened []int
	defer func() {
		for _, fd := range opened {
			_ = unix.Close(fd)
		}
	}()
	for range count {
		fd, err := unix.FcntlInt(0, unix.F_DUPFD_CLOEXEC, 3)
		if errors.Is(err, unix.EMFILE) || errors.Is(err, unix.EINVAL) { // EINVAL: the limit is 3 or less
			return unix.EMFILE
		}
		if err == nil {
			opened = append(opened, fd)
		}
	}
	return nil
}

package ocf

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// needed is how many files an action has open at once beside the first three: Go's
// poller (two), a lock, a record and a socket.
const needed = 5

// Begin returns what the operating system gives to this program. It makes sure that the
// program can open the files of an action, else it ends the program with exit code 1 and
// says why. The main of an agent calls it first, once. Go's
// runtime ends a program that cannot open its poller with exit
// code 2, which is a wrong configuration to the cluster. So the poller comes first.
func Begin() Process {
	if err := room(needed); err != nil {
		fmt.Fprintf(os.Stderr, "ocf-exit-reason:fewer than %d more files can be open at once: %v; raise LimitNOFILE of the cluster manager's unit\n", needed, err)
		os.Exit(int(Generic))
	}
	time.AfterFunc(time.Hour, func() {}).Stop() // a timer opens the poller
	stdin, err := os.Stdin.Stat()
	dir, warning := StateDir()
	return Process{
		Args: os.Args, Environ: os.Environ(), Stdout: os.Stdout, Stderr: os.Stderr,
		Root:     os.Geteuid() == 0,
		Terminal: err == nil && isTerminal(stdin), Supersede: true,
		StateDir: dir, Warning: warning,
	}
}

// room is nil if count more files can be open.
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

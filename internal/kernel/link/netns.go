package link

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"

	"lvs-agents/internal/host"
	knetlink "lvs-agents/internal/kernel/netlink"
)

// namespaces is the directory with the names of the network namespaces of ip netns.
const namespaces = "/run/netns"

// Enter moves the calling goroutine into the network namespace that has a name in ip netns. The
// goroutine stays in the namespace, and its thread ends with the goroutine. Programs that the
// goroutine starts run in the namespace too.
//
// The error is a host.ErrNotInstalled if the name does not exist. The error is the same if the name
// is not a network namespace, for example a file that ip netns left, or a pipe. In both cases, no
// program can run in the namespace. Every other error means that Enter could not open or enter the
// namespace.
func (k *Kernel) Enter(name string) error {
	file, err := openNamespace(name)
	if err != nil {
		return err
	}
	defer file.Close()
	runtime.LockOSThread()
	err = unix.Setns(int(file.Fd()), unix.CLONE_NEWNET)
	switch {
	case errors.Is(err, unix.EINVAL): // the file is a namespace, but not a network namespace
		return noNamespace(name)
	case err != nil:
		return fmt.Errorf("ip netns exec %s: %w", name, knetlink.Translate(err))
	}
	return nil
}

// openNamespace checks the kind of the file before it opens the file. The open of a pipe could
// wait, and the open of a device could have an effect.
func openNamespace(name string) (*os.File, error) {
	if name != filepath.Base(name) || name == "." || name == ".." {
		return nil, host.NotInstalled("network namespace %q: not a name that ip netns list shows", name)
	}
	fd, err := unix.Open(filepath.Join(namespaces, name), unix.O_PATH|unix.O_CLOEXEC, 0)
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ENAMETOOLONG):
		return nil, host.NotInstalled("network namespace %q does not exist; ip netns add %s", name, name)
	case errors.Is(err, unix.ELOOP):
		return nil, noNamespace(name)
	case err != nil:
		return nil, fmt.Errorf("open %s/%s: %w", namespaces, name, knetlink.Translate(err))
	}
	path := os.NewFile(uintptr(fd), name)
	defer path.Close()
	var stat unix.Statfs_t
	if err := unix.Fstatfs(fd, &stat); err != nil {
		return nil, fmt.Errorf("statfs %s/%s: %w", namespaces, name, err)
	}
	if stat.Type != unix.NSFS_MAGIC {
		return nil, noNamespace(name)
	}
	file, err := os.Open(fmt.Sprintf("/proc/self/fd/%d", fd))
	if err != nil {
		return nil, fmt.Errorf("open %s/%s: %w", namespaces, name, err)
	}
	return file, nil
}

func noNamespace(name string) error {
	return host.NotInstalled("%s/%s is not a network namespace; ip netns del %s, then ip netns add %[2]s", namespaces, name, name)
}

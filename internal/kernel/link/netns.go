package link

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"

	"lvs-agents/internal/host"
)

// Enter moves the calling goroutine into the network namespace that ip netns
// calls by this name, for the rest of its life: its thread ends with it.
// Programs that it starts are there as well. A name that ip netns list does not
// have is an host.ErrNotInstalled.
func (k *Kernel) Enter(name string) error {
	file, err := os.Open(filepath.Join("/run/netns", filepath.Base(name)))
	if err != nil {
		return host.NotInstalled("network namespace %q does not exist; ip netns add %s", name, name)
	}
	defer file.Close()
	runtime.LockOSThread()
	if err := unix.Setns(int(file.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("ip netns exec %s: %w", name, translate(err))
	}
	return nil
}

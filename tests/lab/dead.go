package lab

import (
	"fmt"
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"
)

// DeadMount mounts a file system over a directory. The file system never responds, like a network
// file system whose server is down. When the test ends, DeadMount unmounts it, and every process
// that waits for it gets an error.
func DeadMount(tb testing.TB, dir string) {
	tb.Helper()
	_ = exec.Command("modprobe", "-q", "fuse").Run() // modprobe fails if fuse is built into the kernel; the mount shows whether fuse works
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		tb.Fatalf("/dev/fuse: %v", err)
	}
	device := os.NewFile(uintptr(fd), "/dev/fuse")
	tb.Cleanup(func() {
		_ = device.Close()
		_ = unix.Unmount(dir, unix.MNT_DETACH)
	})
	if err := unix.Mount("dead", dir, "fuse", 0, fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0", fd)); err != nil {
		tb.Fatalf("mount: %v", err)
	}
}

package lab

import (
	"fmt"
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"
)

// DeadMount mounts a file system over a directory. The file system does not respond, like a network
// file system whose server is down. It is unmounted at the end of the test, and every process that
// waits for it then gets an error.
func DeadMount(tb testing.TB, dir string) {
	tb.Helper()
	_ = exec.Command("modprobe", "-q", "fuse").Run() // the kernel can have fuse built in
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

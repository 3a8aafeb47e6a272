package lab

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
)

// Sandbox runs the tests of a package as root of a network and a mount namespace of their own, where lo is up
// and no mount is seen outside. prepare, if not nil, runs there before. The exit status is for TestMain; without
// root it is 0, or 1 with REQUIRE_KERNEL=1 in the environment.
func Sandbox(m *testing.M, prepare func() error) int {
	if os.Geteuid() != 0 {
		fmt.Println("not root; run make test")
		if os.Getenv("REQUIRE_KERNEL") == "1" {
			return 1
		}
		return 0
	}
	const inside = "LAB_SANDBOX"
	if os.Getenv(inside) == "" {
		return again(inside + "=1")
	}
	// In a chroot / is no mount point: there the namespace's own root must be made private.
	const script = `mount --make-rprivate / 2>/dev/null || nsenter --mount=/proc/self/ns/mnt mount --make-rprivate /
ip link set lo up`
	if out, err := exec.Command("sh", "-ec", script).CombinedOutput(); err != nil {
		fmt.Printf("making the sandbox: %v: %s\n", err, out)
		return 1
	}
	if prepare != nil {
		if err := prepare(); err != nil {
			fmt.Println("making the sandbox:", err)
			return 1
		}
	}
	return m.Run()
}

// again runs this program in new namespaces.
func again(setting string) int {
	self := exec.Command("/proc/self/exe", os.Args[1:]...)
	self.Env = append(os.Environ(), setting)
	self.Stdin, self.Stdout, self.Stderr = os.Stdin, os.Stdout, os.Stderr
	// Not Unshareflags: Go then remounts / as private, which fails in a chroot.
	self.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWNET,
		Pdeathsig:  syscall.SIGKILL, // when this thread ends, which is why it is locked
	}
	runtime.LockOSThread()
	if err := self.Run(); err != nil {
		fmt.Println("the sandbox:", err)
		return 1
	}
	return 0
}

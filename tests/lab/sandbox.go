package lab

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
)

// Sandbox runs the tests of a package as root in a new network namespace and a new mount namespace.
// lo is up there, and mounts are not visible outside. If prepare is not nil, Sandbox calls prepare
// in the new namespaces before the tests. TestMain must exit with the status that Sandbox returns.
// Without root no test runs, and the status is 0. With REQUIRE_KERNEL=1 in the environment, the
// status is then 1.
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
	// In a chroot, / is not a mount point, and the first mount fails. Then nsenter leaves the
	// chroot and makes the root of the namespace private.
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

// again starts this test program a second time, in new namespaces, and returns the exit status of
// the second run.
func again(setting string) int {
	self := exec.Command("/proc/self/exe", os.Args[1:]...)
	self.Env = append(os.Environ(), setting)
	self.Stdin, self.Stdout, self.Stderr = os.Stdin, os.Stdout, os.Stderr
	// Cloneflags create the namespaces. With Unshareflags, Go would also remount / as private, and
	// this mount fails in a chroot.
	self.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWNET,
		Pdeathsig:  syscall.SIGKILL, // the kernel sends Pdeathsig when the thread that started the process ends, so the thread must be locked
	}
	runtime.LockOSThread()
	if err := self.Run(); err != nil {
		fmt.Println("the sandbox:", err)
		return 1
	}
	return 0
}

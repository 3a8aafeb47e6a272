package lab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
)

// Sandbox runs the tests of a package as root in a new network namespace and a new mount namespace.
// lo is up there, and mounts are not visible outside. If prepare is not nil, Sandbox calls prepare
// in the new namespaces before the tests. TestMain must exit with the status that Sandbox returns.
// Without root no test runs, and the status is 0. With REQUIRE_KERNEL=1 in the environment, the
// status is then 1.
//
// With LAB_SYSTEM=trixie in the environment, the tests have the files of a Debian system: the one
// that tests/debian has made in /var/cache/lvs-agents/trixie. Of this machine, they have only the
// kernel and the repository.
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
	if system := os.Getenv("LAB_SYSTEM"); system != "" {
		if err := enter(filepath.Join("/var/cache/lvs-agents", system)); err != nil {
			fmt.Println("making the sandbox:", err)
			return 1
		}
	}
	if prepare != nil {
		if err := prepare(); err != nil {
			fmt.Println("making the sandbox:", err)
			return 1
		}
	}
	return m.Run()
}

// enter changes the root of this process to a temporary copy of a Debian system. The repository has
// the same path there.
func enter(tree string) error {
	dir, err := os.Getwd()
	if err != nil {
		return err
	}
	const script = `cd ..; while [ ! -e go.mod ]; do cd ..; done; repository=$PWD
mount -t tmpfs lab /mnt
mkdir /mnt/upper /mnt/work /mnt/root
mount -t overlay -o lowerdir="$1",upperdir=/mnt/upper,workdir=/mnt/work lab /mnt/root
mount --rbind /dev /mnt/root/dev
mount --rbind /sys /mnt/root/sys
mount -t proc proc /mnt/root/proc
mkdir -p "/mnt/root$repository"
mount --bind "$repository" "/mnt/root$repository"`
	if _, err := os.Stat(filepath.Join(tree, ".content")); err != nil {
		return fmt.Errorf("%w; run tests/run systems", err)
	}
	if out, err := exec.Command("sh", "-ec", script, "enter", tree).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", tree, err, out)
	}
	return errors.Join(syscall.Chroot("/mnt/root"), os.Chdir(dir))
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

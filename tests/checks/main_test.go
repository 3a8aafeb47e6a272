// Package checks runs the checks of the health daemon against the real server programs of Debian,
// and against fake servers that misbehave.
//
// The test program starts a second instance of itself as root of new namespaces. In these
// namespaces every port is free, no packet leaves the test host, and every process ends with the
// test. All servers listen on addresses of 127/8 or on ::1.
package checks

import (
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
)

// inside is the environment variable that tells the second instance that it runs in the new
// namespaces.
const inside = "CHECKS_INSIDE"

var update = flag.Bool("update", false, "rewrite docs/checks.md")

func TestMain(m *testing.M) {
	flag.Parse()
	// The tests of the situations mostly wait for servers and use little CPU time, so 32 of them
	// run at once.
	if err := flag.Set("test.parallel", "32"); err != nil {
		fmt.Fprintln(os.Stderr, "tests/checks:", err)
		os.Exit(1)
	}
	if os.Getenv(inside) == "" {
		os.Exit(again())
	}
	if err := prepare(); err != nil {
		fmt.Fprintln(os.Stderr, "tests/checks:", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// again starts this test program a second time, in new namespaces, and returns its exit status.
func again() int {
	dir, err := os.MkdirTemp("", "checks")
	if err != nil {
		fmt.Fprintln(os.Stderr, "tests/checks:", err)
		return 1
	}
	defer func() {
		_ = os.RemoveAll(dir)
		left, _ := filepath.Glob("/dev/shm/" + filepath.Base(dir) + "-*") // from squid
		for _, file := range left {
			_ = os.Remove(file)
		}
	}()
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), inside+"="+dir, "SSL_CERT_FILE="+dir+"/ca.pem")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	// The second instance is the first process of its pid namespace. When it ends, the kernel kills
	// the servers.
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWPID | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC,
		Pdeathsig:  syscall.SIGKILL,
	}
	err = cmd.Run()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return max(1, exit.ExitCode())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "tests/checks: as root, with namespaces:", err)
		return 1
	}
	return 0
}

// prepare sets up the new namespaces: the host name, the loopback interface with its addresses, the
// directories and the certificates.
func prepare() error {
	if err := syscall.Sethostname([]byte("news1.directors.lan")); err != nil { // leafnode requires a name with a domain
		return err
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return err
	}
	// named listens only on addresses that an interface has. The other servers need only
	// 127.0.0.1/8.
	if err := netlink.AddrAdd(lo, &netlink.Addr{IPNet: &net.IPNet{IP: net.IPv4(127, 0, 53, 1), Mask: net.CIDRMask(32, 32)}}); err != nil {
		return err
	}
	work = os.Getenv(inside)
	if err := os.Chmod(work, 0o755); err != nil {
		return err
	}
	// squid's shared memory needs the usual mode of the mounted directory. In a bare chroot the
	// directory is not mounted and has another mode.
	if err := os.Chmod("/dev/shm", 0o777|os.ModeSticky); err != nil {
		return err
	}
	return makeCertificates()
}

// work is the directory with the files of all test servers.
var work string

package lab

import (
	"fmt"
	"os"
	"os/exec"
	"testing"
)

// Require skips the test if the lab cannot run: the lab needs root, a kernel with IPVS and the
// named programs. With REQUIRE_KERNEL=1 in the environment, Require fails the test instead.
func Require(tb testing.TB, programs ...string) {
	tb.Helper()
	missing := missing(programs)
	if missing == "" {
		return
	}
	if os.Getenv("REQUIRE_KERNEL") == "1" {
		tb.Fatalf("REQUIRE_KERNEL=1, but %s", missing)
	}
	tb.Skipf("lab: %s; run it with tests/lab/test", missing)
}

func missing(programs []string) string {
	if os.Geteuid() != 0 {
		return "not root"
	}
	for _, program := range append([]string{"ip", "sh", "nsenter", "modprobe"}, programs...) {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Sprintf("program %q is not installed; run tests/install", program)
		}
	}
	if !haveIPVS() {
		return "no IPVS in this kernel"
	}
	return ""
}

func haveIPVS() bool {
	const table = "/proc/net/ip_vs"
	if _, err := os.Stat(table); err == nil {
		return true
	}
	if exec.Command("modprobe", "-q", "ip_vs").Run() != nil {
		return false
	}
	_, err := os.Stat(table)
	return err == nil
}

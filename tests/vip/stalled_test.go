package vip

import (
	"bytes"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lvs-agents/internal/kernel/kerneltest"
	"lvs-agents/internal/process"
)

// TestStalledStartAddsNothingAfterAStop runs a stop while strace suspends a start. It does this
// before many system calls of the start. Each time the stop must succeed, and the start, when it
// continues, must add nothing.
func TestStalledStartAddsNothingAfterAStop(t *testing.T) {
	a, _ := link(t)
	kerneltest.Run(t, "ip link set eth0 addrgenmode none\nip -6 addr flush dev eth0 scope link")
	params := []string{"ip=" + vip4, "nic=eth0", "arp_count=1"}
	empty := dump(t)
	stalled := 0
	for _, call := range []string{"openat", "socket", "sendto", "recvfrom"} {
		for n := 1; n < 100; n += 1 + n/3 {
			found := stall(t, a, call, n, params)
			if !found {
				a.must(t, 0, "stop", params...)
				break // the start makes fewer than n of these calls
			}
			stalled++
			if have := dump(t); have != empty {
				t.Fatalf("stalled before %s %d: after stop and the end of start:\n%s", call, n, have)
			}
			a.must(t, 7, "monitor", params...)
		}
	}
	if stalled < 10 {
		t.Errorf("stalled only %d times", stalled)
	}
	t.Logf("stalled at %d system calls", stalled)
}

// TestStalledStartInAnotherNamespace checks the same for a start whose parameter network_namespace
// names another namespace. The main thread of the start is in that namespace.
func TestStalledStartInAnotherNamespace(t *testing.T) {
	kerneltest.Namespace(t)
	if err := errors.Join(unix.Unshare(unix.CLONE_NEWNS), unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""),
		unix.Mount("tmpfs", "/run", "tmpfs", 0, "")); err != nil {
		kerneltest.Need(t, "mounts: "+err.Error())
	}
	kerneltest.Run(t, "ip netns add other\nip -n other link add eth0 type veth peer name eth1\nip -n other link set eth0 up\nip -n other link set eth1 up")
	a, stalled := newAgent(t), 0
	params := []string{"ip=" + vip4, "nic=eth0", "cidr_netmask=24", "arp_count=1", "network_namespace=other"}
	for n := 1; n < 8; n++ {
		if !stall(t, a, "sendto", n, params) {
			a.must(t, 0, "stop", params...)
			break
		}
		stalled++
		out, err := exec.Command("ip", "-n", "other", "-br", "addr", "show", "dev", "eth0").CombinedOutput()
		if err != nil || strings.Contains(string(out), vip4) {
			t.Fatalf("stalled before sendto %d: after stop and the end of start: %v\n%s", n, err, out)
		}
	}
	if stalled < 3 {
		t.Errorf("stalled only %d times", stalled)
	}
}

// stall suspends a start before its n-th call of a system call. It runs a stop, which must succeed,
// and lets the start continue. It reports whether the start made n such calls.
func stall(t *testing.T, a agent, call string, n int, params []string) bool {
	t.Helper()
	var out bytes.Buffer
	cmd := exec.Command("strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace="+call,
		"-e", fmt.Sprintf("inject=%s:signal=STOP:when=%d", call, n), a.path, "start")
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "OCF_RESOURCE_INSTANCE=web", "LVS_AGENTS_STATE_DIR=" + a.state + "/lvs-agents"}
	for _, param := range params {
		cmd.Env = append(cmd.Env, "OCF_RESKEY_"+param)
	}
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // the start can end with an error, because the stop can kill it
	}()
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for range 4000 {
		select {
		case <-ended:
			return false
		case <-again.C:
		}
		for _, p := range process.All() {
			if args := p.Args(); len(args) == 2 && args[0] == a.path && args[1] == "start" && p.Stopped() && stopped(p) {
				a.must(t, 0, "stop", params...)
				for !p.Gone() { // strace suspends every thread of the start at its own n-th call
					p.Signal(syscall.SIGCONT)
					<-again.C
				}
				_ = cmd.Process.Kill() // without the kill, strace would wait for the sender of announcements
				<-ended
				return true
			}
		}
	}
	t.Fatalf("the start neither stops nor ends\n%s", out.String())
	return false
}

// stopped reports whether a process stays suspended. strace also suspends a process for a moment at
// each system call, so stopped checks several times.
func stopped(p process.Process) bool {
	again := time.NewTicker(2 * time.Millisecond)
	defer again.Stop()
	for range 10 {
		if now := process.Of(p.PID); !now.Stopped() || !strings.ContainsRune("Tt", rune(now.State)) {
			return false
		}
		<-again.C
	}
	return true
}

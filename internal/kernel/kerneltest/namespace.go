package kerneltest

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Need skips a test if this host lacks something that the test needs, for example root rights. With
// REQUIRE_KERNEL=1, Need fails the test instead.
func Need(t testing.TB, missing string) {
	t.Helper()
	if os.Getenv("REQUIRE_KERNEL") == "1" {
		t.Fatalf("REQUIRE_KERNEL=1 and missing: %s", missing)
	}
	t.Skipf("missing: %s", missing)
}

// Namespace moves the calling goroutine into a new network namespace, and sets lo up. Processes
// that the goroutine starts run in the namespace. Goroutines that it starts, for example subtests,
// do not run in the namespace. The thread ends with the goroutine.
func Namespace(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		Need(t, "root")
	}
	// The thread is never unlocked, so the runtime ends the thread with the goroutine.
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		Need(t, "network namespaces: "+err.Error())
	}
	Run(t, "ip link set lo up")
}

// Run executes commands in the namespace of the calling goroutine, one command per line and without
// a shell. It returns their output.
func Run(t testing.TB, lines string) string {
	t.Helper()
	var all strings.Builder
	for line := range strings.Lines(lines) {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		out, err := exec.Command(words[0], words[1:]...).CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", strings.TrimSpace(line), err, out)
		}
		all.Write(out)
	}
	return all.String()
}

// Start starts a command in the namespace of the calling goroutine. The returned function send
// writes to the standard input of the command and waits until the command ends. Every goroutine can
// call send.
func Start(t testing.TB, name string, args ...string) (send func(input string) error, err error) {
	t.Helper()
	cmd := exec.Command(name, args...)
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return func(input string) error {
		_, err := io.WriteString(in, input)
		return errors.Join(err, in.Close(), cmd.Wait())
	}, nil
}

// DropCapability removes a capability (for example unix.CAP_NET_ADMIN) from the calling goroutine
// until it ends. Call Namespace first, so that no other goroutine runs on the same thread.
func DropCapability(t testing.TB, capability int) {
	t.Helper()
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		t.Fatal(err)
	}
	data[0].Effective &^= 1 << capability
	if err := unix.Capset(&header, &data[0]); err != nil {
		t.Fatal(err)
	}
}

// Peer is another host, in a separate network namespace.
type Peer struct {
	t     testing.TB
	work  chan func()
	ended chan struct{}
}

// NewPeer creates the interface nic and connects it to eth0 of a new peer. Both interfaces are up
// and detect duplicate addresses quickly. Call Namespace first.
func NewPeer(t testing.TB, nic string) *Peer {
	t.Helper()
	p := &Peer{t: t, work: make(chan func()), ended: make(chan struct{})}
	path := make(chan string)
	go func() {
		defer close(p.ended)
		runtime.LockOSThread()
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			t.Errorf("unshare: %v", err)
		}
		path <- fmt.Sprintf("/proc/%d/task/%d/ns/net", os.Getpid(), unix.Gettid())
		for f := range p.work {
			f()
		}
	}()
	t.Cleanup(func() { close(p.work); <-p.ended })
	Run(t, fmt.Sprintf("ip link add %s type veth peer name eth0 netns %s", nic, <-path))
	hurry(t, nic)
	Run(t, "ip link set "+nic+" up")
	p.Do(func() {
		hurry(t, "eth0")
		Run(t, "ip link set lo up\nip link set eth0 up")
	})
	return p
}

// Do runs f in the peer's namespace and waits until f returns. If f ends the test (t.Fatal), Do
// also ends the test.
func (p *Peer) Do(f func()) {
	p.t.Helper()
	done := make(chan struct{})
	select {
	case p.work <- func() { f(); close(done) }:
	case <-p.ended:
	}
	select {
	case <-done:
	case <-p.ended:
		p.t.FailNow()
	}
}

// hurry shortens duplicate address detection on an interface that is down.
func hurry(t testing.TB, nic string) {
	t.Helper()
	for file, value := range map[string]string{
		"conf/" + nic + "/router_solicitation_delay": "0",
		"neigh/" + nic + "/retrans_time_ms":          "50",
	} {
		if err := os.WriteFile("/proc/sys/net/ipv6/"+file, []byte(value), 0); err != nil {
			t.Errorf("hurry %s: %v", nic, err)
		}
	}
}

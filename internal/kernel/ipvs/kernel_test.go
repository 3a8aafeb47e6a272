package ipvs_test

import (
	"context"
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"

	"lvs-agents/internal/host"
	"lvs-agents/internal/kernel/ipvs"
	"lvs-agents/internal/kernel/kerneltest"
	"lvs-agents/internal/lvs"
)

// open returns a Kernel in a new network namespace.
func open(t *testing.T) *ipvs.Kernel {
	t.Helper()
	kerneltest.Namespace(t)
	k := ipvs.New()
	t.Cleanup(func() { _ = k.Close() })
	if _, err := k.Table(t.Context()); errors.Is(err, host.ErrNotInstalled) {
		kerneltest.Need(t, err.Error())
	}
	return k
}

func TestKernel(t *testing.T) {
	kerneltest.RunIPVS(t, func(t *testing.T) kerneltest.IPVSKernel { return open(t) })
}

// TestKernelWithoutIPVS checks the errors of a kernel without IPVS. The test runs only if the
// kernel cannot load IPVS.
func TestKernelWithoutIPVS(t *testing.T) {
	kerneltest.Namespace(t)
	if _, err := os.Stat("/proc/net/ip_vs"); err == nil {
		t.Skip("this kernel has IPVS")
	}
	k := ipvs.New()
	t.Cleanup(func() { _ = k.Close() })
	_, err := k.Table(t.Context())
	if err == nil {
		t.Skip("this kernel has IPVS")
	}
	const absent = "IPVS is not in this kernel; modprobe ip_vs"
	if want := "ipvsadm -Sn: " + absent; !errors.Is(err, host.ErrNotInstalled) || err.Error() != want {
		t.Errorf("got %v; want %s", err, want)
	}
	for _, line := range []string{
		"-A -t 192.0.2.10:80 -s rr", "-E -t 192.0.2.10:80 -s rr", "-D -t 192.0.2.10:80",
		"-a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 1", "-d -t 192.0.2.10:80 -r 192.0.2.21:80",
	} {
		ops := kerneltest.ParseOps(t, line)
		done, err := k.Apply(t.Context(), ops)
		if want := ops[0].String() + ": " + absent; done != 0 || !errors.Is(err, host.ErrNotInstalled) || err.Error() != want {
			t.Errorf("got %d, %v; want %s", done, err, want)
		}
	}
}

// TestKernelReadsForeignServices checks that Table returns services of ipvsadm that this package
// cannot create.
func TestKernelReadsForeignServices(t *testing.T) {
	k := open(t)
	if _, err := exec.LookPath("ipvsadm"); err != nil {
		kerneltest.Need(t, "ipvsadm")
	}
	kerneltest.Run(t, `
ipvsadm -A -u 192.0.2.10:5060 -s rr -p 60 --pe sip -o
ipvsadm -A -t 192.0.2.10:80 -s wlc
ipvsadm -a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 100000
ipvsadm -a -t 192.0.2.10:80 -r 192.0.2.22:80 -i --tun-type gue --tun-port 6080 -w 1
ipvsadm -a -t 192.0.2.10:80 -r [2001:db8::21]:80 -i -w 1
`)
	want := `
-A -t 192.0.2.10:80 -s wlc
-a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 100000
-a -t 192.0.2.10:80 -r 192.0.2.22:80 -i -w 1 --tun-type gue --tun-port 6080 --tun-nocsum
-a -t 192.0.2.10:80 -r [2001:db8::21]:80 -i -w 1
-A -u 192.0.2.10:5060 -s rr -p 60 --pe sip -o
`
	table, err := k.Table(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, "\n"+table.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestKernelWritesWhatIpvsadmReads checks with ipvsadm which services and destinations the kernel
// has. So the test finds a mistake that the encoder and the decoder both make.
func TestKernelWritesWhatIpvsadmReads(t *testing.T) {
	k := open(t)
	if _, err := exec.LookPath("ipvsadm"); err != nil {
		kerneltest.Need(t, "ipvsadm")
	}
	const text = `
-A -t 192.0.2.10:80 -s rr -p 600 -M 255.255.255.0
-a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 1
-A -t 192.0.2.10:81 -s wrr
-a -t 192.0.2.10:81 -r 192.0.2.22:8080 -m -w 2
-A -f 5 -6 -s mh -p 60 -M 64 -b flag-1,flag-2
-a -f 5 -6 -r [2001:db8::21]:80 -i -w 65535
`
	if _, err := k.Apply(t.Context(), kerneltest.ParseOps(t, text)); err != nil {
		t.Fatal(err)
	}
	table, err := lvs.ParseTable(withoutNames(kerneltest.Run(t, "ipvsadm -Sn")))
	if err != nil {
		t.Fatal(err)
	}
	got, err := k.Table(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	scope := lvs.ScopeOf(table, got)
	if ops := lvs.Plan(table, got, scope); len(ops) != 0 || len(table) != 3 {
		t.Errorf("ipvsadm sees\n%swe see\n%s", table, got)
	}
	if !strings.Contains(table.String(), "-M 255.255.255.0") || !strings.Contains(table.String(), "-M 64") {
		t.Errorf("ipvsadm sees\n%s", table)
	}
}

// withoutNames removes the options of ipvsadm 1.31 that lvs.ParseTable does not support.
func withoutNames(text string) string {
	for _, extra := range []string{" --tun-type ipip", " --tun-flags nocsum"} {
		text = strings.ReplaceAll(text, extra, "")
	}
	return text
}

func TestKernelForeignProtocolSurvivesReading(t *testing.T) {
	k := open(t)
	const ah = 51
	id := lvs.AddrService(ah, netip.MustParseAddrPort("192.0.2.10:0"))
	op := lvs.Op{Verb: lvs.AddService, Service: lvs.Service{ID: id, Scheduler: "rr", Persistence: time.Minute}}
	if _, err := k.Apply(t.Context(), []lvs.Op{op}); err != nil {
		t.Fatal(err)
	}
	table, err := k.Table(t.Context())
	if err != nil || len(table) != 1 || table[0].ID != id {
		t.Errorf("got %v, %v", table, err)
	}
}

func TestKernelWithoutPermission(t *testing.T) {
	k := open(t)
	kerneltest.DropCapability(t, unix.CAP_NET_ADMIN)
	_, err := k.Table(t.Context())
	if want := "ipvsadm -Sn: permission denied"; !errors.Is(err, fs.ErrPermission) || err.Error() != want {
		t.Errorf("got %v; want %s", err, want)
	}
	for _, line := range []string{"-A -t 192.0.2.10:80 -s rr", "-d -f 1 -r 192.0.2.21:80"} {
		ops := kerneltest.ParseOps(t, line)
		done, err := k.Apply(t.Context(), ops)
		if want := ops[0].String() + ": permission denied"; done != 0 || !errors.Is(err, fs.ErrPermission) || err.Error() != want {
			t.Errorf("got %d, %v; want %s", done, err, want)
		}
	}
}

// TestFirstWriteLeavesTheProcessAlone checks that the first write changes neither PATH nor the
// output of the standard logger. The first write makes moby/ipvs run modprobe. moby/ipvs does this
// once in the life of a process, so the test starts the test binary again.
func TestFirstWriteLeavesTheProcessAlone(t *testing.T) {
	if os.Getenv("FIRST_WRITE") == "1" {
		firstWrite(t)
		return
	}
	open(t)
	cmd := exec.Command(os.Args[0], "-test.run=^TestFirstWriteLeavesTheProcessAlone$", "-test.v")
	cmd.Env = append(os.Environ(), "FIRST_WRITE=1", "REQUIRE_KERNEL=1")
	if out, err := cmd.CombinedOutput(); err != nil || !strings.HasSuffix(strings.TrimSpace(string(out)), "PASS") {
		t.Errorf("%v\n%s", err, out)
	}
}

func firstWrite(t *testing.T) {
	k := open(t)
	logger, path := logrus.StandardLogger(), t.TempDir()
	out := logger.Out
	t.Setenv("PATH", path) // The directory in PATH has no program modprobe.
	for _, text := range []string{"-A -f 1 -s rr", "-D -f 1"} {
		if _, err := k.Apply(t.Context(), kerneltest.ParseOps(t, text)); err != nil {
			t.Fatal(err)
		}
	}
	if os.Getenv("PATH") != path || logger.Out != out {
		t.Errorf("PATH is %s, the standard logger writes to %v", os.Getenv("PATH"), logger.Out)
	}
}

// TestKernelSurvivesReload checks that an open Kernel works after ip_vs was unloaded and loaded
// again. IPVS has another family number then.
func TestKernelSurvivesReload(t *testing.T) {
	k := open(t)
	if cpu, err := os.ReadFile("/proc/cpuinfo"); err != nil || !strings.Contains(string(cpu), "User Mode Linux") {
		t.Skip("not in user-mode Linux: the modules of this kernel are not ours to unload")
	}
	if err := unload(t); err != nil {
		t.Fatal(err)
	}
	const text = "-A -f 1 -s rr\n-a -f 1 -r 192.0.2.21:80 -g -w 1"
	for range 2 {
		if _, err := k.Apply(t.Context(), kerneltest.ParseOps(t, text)); err != nil {
			t.Fatal(err)
		}
		if table, err := k.Table(t.Context()); err != nil || strings.TrimSpace(table.String()) != text {
			t.Errorf("got %v, %s", err, table)
		}
		ops := kerneltest.ParseOps(t, "-A -f 2 -s twos")
		if _, err := k.Apply(t.Context(), ops); !errors.Is(err, host.ErrNotInstalled) {
			t.Errorf("unknown scheduler: %v", err)
		}
		if err := unload(t); err != nil {
			t.Fatal(err)
		}
	}
	if table, err := k.Table(t.Context()); err != nil || len(table) != 0 {
		t.Errorf("after the last reload: %v, %s", err, table)
	}
}

// unload removes ip_vs and the modules that use it. The services of earlier tests count as users of
// the module until the kernel has removed their namespaces.
func unload(t *testing.T) error {
	t.Helper()
	kerneltest.Run(t, "ipvsadm -C")
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for last := time.After(time.Minute); ; {
		for line := range strings.Lines(kerneltest.Run(t, "lsmod")) {
			if name := strings.Fields(line)[0]; strings.HasPrefix(name, "ip_vs_") {
				_ = exec.Command("rmmod", name).Run()
			}
		}
		out, err := exec.Command("rmmod", "ip_vs").CombinedOutput()
		if err == nil {
			return nil
		}
		select {
		case <-last:
			return errors.New(strings.TrimSpace(string(out)))
		case <-again.C:
		}
	}
}

func TestKernelIsUsedByManyGoroutines(t *testing.T) {
	k := open(t)
	// Both sockets are opened here, in the namespace of the test.
	if _, err := k.Apply(t.Context(), kerneltest.ParseOps(t, "-A -f 99 -s rr\n-D -f 99")); err != nil {
		t.Fatal(err)
	}
	errs := make(chan error)
	const n = 8
	for i := range n {
		go func() {
			op := lvs.Op{Verb: lvs.AddService, Service: lvs.Service{ID: lvs.MarkService(uint32(i+1), false), Scheduler: "rr"}}
			var err error
			for range 20 {
				op.Verb = lvs.AddService
				_, add := k.Apply(context.Background(), []lvs.Op{op})
				_, read := k.Table(context.Background())
				op.Verb = lvs.DeleteService
				_, del := k.Apply(context.Background(), []lvs.Op{op})
				err = errors.Join(err, add, read, del)
			}
			errs <- err
		}()
	}
	for range n {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

func TestKernelSyncDaemons(t *testing.T) {
	k := open(t)
	kerneltest.NewPeer(t, "eth0")
	kerneltest.Run(t, "ip addr add 192.0.2.11/24 dev eth0\nip addr add 2001:db8::11/64 dev eth0 nodad")
	kerneltest.RunSync(t, k)
}

// TestKernelHasNoMixedFamiliesWithSync checks the error for a tunnel to the other address family
// while a synchronisation daemon runs.
func TestKernelHasNoMixedFamiliesWithSync(t *testing.T) {
	k := open(t)
	kerneltest.Run(t, "ip link add d0 type dummy\nip addr add 192.0.2.11/24 dev d0\nip link set d0 up")
	if err := k.StartSync(t.Context(), lvs.SyncDaemon{Role: lvs.SyncBackup, Interface: "d0", ID: 7}); err != nil {
		t.Fatal(err)
	}
	ops := kerneltest.ParseOps(t, "-A -f 1 -s rr\n-a -f 1 -r [2001:db8::21]:80 -i -w 1")
	const want = "ipvsadm -a -f 1 -r [2001:db8::21]:80 -i -w 1: IPVS has no real servers of the other address family while a synchronisation daemon runs; use servers of one family, or stop the daemon"
	if done, err := k.Apply(t.Context(), ops); done != 1 || err == nil || err.Error() != want {
		t.Errorf("got %d, %v\nwant %s", done, err, want)
	}
}

// TestKernelStopsSyncDaemonsAtOnce checks that StopSync stops a daemon that has just started. The
// kernel does not acknowledge every such stop.
func TestKernelStopsSyncDaemonsAtOnce(t *testing.T) {
	k := open(t)
	kerneltest.Run(t, "ip link add d0 type dummy\nip addr add 192.0.2.11/24 dev d0\nip link set d0 up")
	for range 10 {
		if err := k.StartSync(t.Context(), lvs.SyncDaemon{Role: lvs.SyncBackup, Interface: "d0", ID: 7}); err != nil {
			t.Fatal(err)
		}
		if err := k.StopSync(t.Context(), lvs.SyncBackup); err != nil {
			t.Fatal(err)
		}
	}
}

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"lvs-agents/internal/kernel/capability"
)

// TestDoctorShowsTheKernel checks that the doctor names what a file needs and the kernel lacks.
func TestDoctorShowsTheKernel(t *testing.T) {
	file := filepath.Join(t.TempDir(), "web.cf")
	if err := os.WriteFile(file, []byte("virtual=192.0.2.10:80\n\treal=192.0.2.21:80 gate\n\tscheduler=mh\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	root := fstest.MapFS{
		"proc/sys/kernel/osrelease":       {Data: []byte("4.17.3\n")},
		"lib/modules/4.17.3/modules.dep":  {Data: []byte("kernel/net/netfilter/ipvs/ip_vs.ko:\n")},
		"sys/module/ip_vs/refcnt":         {Data: []byte("0\n")},
		"proc/sys/net/ipv4/vs/sync_ports": {Data: []byte("1\n"), Mode: 0o644},
	}
	var out, errs strings.Builder
	code := run(t.Context(), []string{"doctor", "--kernel", "--config", file}, system{stdout: &out, stderr: &errs, stateDir: t.TempDir(),
		dirs: []string{"."}, resolver: noNames{}, capable: capability.Kernel{Root: root}})
	for _, want := range []string{
		"kernel 4.17.3 has:\n",
		"\n  net.ipv4.vs.sync_ports                           present, 1\n",
		"\nthe configuration needs:\n  ipvs                                             present\n" +
			"  scheduler mh                                     missing: kernel 4.17.3 has no module ip_vs_mh; boot a kernel with CONFIG_IP_VS_MH (Linux has it since 4.18)\n",
		"\n  a client that uses a port again loses a second if its server has weight 0\n    why: the kernel drops the first SYN (kernels before 5.16; a distribution can have corrected its kernel)\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("does not print %q", want)
		}
	}
	if code != 1 || errs.Len() > 0 || t.Failed() {
		t.Errorf("code %d, %s\n%s", code, errs.String(), out.String())
	}
	out.Reset()
	code = run(t.Context(), []string{"doctor", "--kernel"}, system{stdout: &out, stderr: &errs, stateDir: t.TempDir(), capable: capability.Kernel{Root: root}})
	if code != 0 || !strings.Contains(out.String(), "the configuration needs:\n  nothing\n") || !strings.HasSuffix(out.String(), "configuration:\n  none\n") {
		t.Errorf("code %d\n%s", code, out.String())
	}
}

package capability

import (
	"errors"
	"os"
	"testing"
	"testing/fstest"

	"lvs-agents/internal/host"
	"lvs-agents/internal/lvs"
)

const release = "5.14.0-570.el9.x86_64"

func files(more fstest.MapFS) Kernel {
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text), Mode: 0o644} }
	root := fstest.MapFS{
		"proc/sys/kernel/osrelease":                   file(release + "\n"),
		"etc/os-release":                              file("NAME=\"Rocky Linux\"\nID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n"),
		"lib/modules/" + release + "/modules.builtin": file("kernel/net/netfilter/ipvs/ip_vs_rr.ko\n"),
		"lib/modules/" + release + "/modules.dep": file("kernel/net/netfilter/ipvs/ip_vs.ko.xz: kernel/lib/x.ko.xz\n" +
			"kernel/net/netfilter/ipvs/ip_vs_mh.ko.xz: kernel/net/netfilter/ipvs/ip_vs.ko.xz\nkernel/net/netfilter/ipvs/ip_vs_sh.ko.xz:\n"),
		"etc/modprobe.d/hard.conf": file("# no sh\ninstall ip-vs-sh /bin/false\n"),
	}
	for name, f := range more {
		if root[name] = f; f == nil {
			delete(root, name)
		}
	}
	return Kernel{root}
}

var loaded = fstest.MapFS{
	"sys/module/ip_vs/refcnt":           {Data: []byte("0\n")},
	"proc/sys/net/ipv4/vs/sloppy_tcp":   {Data: []byte("1\n"), Mode: 0o644},
	"proc/sys/net/ipv4/vs/sync_ports":   {Data: []byte("1\n"), Mode: 0o444},
	"proc/kallsyms":                     {Data: []byte("0 t ip_vs_tunnel_xmit_v6\t[ip_vs]\n0 t ipvs_gre_encap.constprop.0\t[ip_vs]\n")},
	"proc/thread-self/net/ip_vs_status": {Data: []byte("Conns: 0\n"), Mode: 0o440},
}

func TestFeature(t *testing.T) {
	const install = "dnf install kernel-modules-" + release + " kernel-modules-extra-" + release + ", or boot a kernel with "
	for _, tt := range []struct {
		feature  lvs.Feature
		kernel   Kernel
		want     host.Presence
		why, fix string
	}{
		{lvs.FeatureIPVS, files(nil), host.Loadable, "", ""},
		{lvs.FeatureIPVS, files(loaded), host.Present, "", ""},
		{"scheduler rr", files(nil), host.Present, "", ""},
		{"scheduler mh", files(nil), host.Loadable, "", ""},
		{"scheduler sh", files(nil), host.Blocked, `module ip_vs_sh is not loaded, and "install ip-vs-sh /bin/false" in /etc/modprobe.d/hard.conf prevents it`,
			"remove that line, then modprobe ip_vs_sh"},
		{"scheduler twos", files(nil), host.Missing, "kernel " + release + " has no module ip_vs_twos", install + "CONFIG_IP_VS_TWOS (Linux has it since 5.12)"},
		{lvs.FeatureSIP, files(fstest.MapFS{"etc/os-release": {Data: []byte("ID=ubuntu\nID_LIKE=debian\n")}}), host.Missing, "kernel " + release + " has no module ip_vs_pe_sip",
			"apt install linux-modules-extra-" + release + ", or boot a kernel with CONFIG_IP_VS_PE_SIP"},
		{lvs.FeatureSIP, files(fstest.MapFS{"etc/os-release": nil}), host.Missing, "kernel " + release + " has no module ip_vs_pe_sip", "boot a kernel with CONFIG_IP_VS_PE_SIP"},
		{"scheduler mh", files(fstest.MapFS{"lib/modules/" + release + "/modules.dep": nil}), host.Unknown,
			"/lib/modules/" + release + "/modules.dep cannot be read, so it is not known which modules this kernel has", ""},
		{lvs.FeatureIPv6, files(nil), host.Unknown, "module ip_vs is not loaded", ""},
		{lvs.FeatureIPv6, files(loaded), host.Present, "", ""},
		{lvs.FeatureGRE, files(loaded), host.Present, "", ""},
		{lvs.FeatureGUE, files(loaded), host.Missing, "ip_vs of kernel " + release + " is built without it", "boot a kernel with CONFIG_IP_VS (Linux has it since 5.2)"},
		{lvs.FeatureSCTP, files(fstest.MapFS{"sys/module/ip_vs/refcnt": {}}), host.Unknown, "/proc/kallsyms has no function of ip_vs", ""},
	} {
		got := tt.kernel.Feature(tt.feature)
		if want := (host.Capability{Name: string(tt.feature), Presence: tt.want, Why: tt.why, Fix: tt.fix}); got != want {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
	}
}

func TestSysctl(t *testing.T) {
	for _, tt := range []struct {
		name   string
		kernel Kernel
		want   host.Capability
	}{
		{"sloppy_tcp", files(nil), host.Capability{Why: "module ip_vs is not loaded"}},
		{"sloppy_tcp", files(loaded), host.Capability{Presence: host.Present, Value: "1"}},
		{"sync_ports", files(loaded), host.Capability{Presence: host.Blocked, Value: "1", Why: "it is read-only in this namespace", Fix: "set it as root of the host"}},
		{"est_nice", files(loaded), host.Capability{Presence: host.Missing, Why: "ip_vs of kernel " + release + " does not have it",
			Fix: "remove the setting from the configuration, or boot a newer kernel (Linux has it since 6.2)"}},
	} {
		tt.want.Name = "net.ipv4.vs." + tt.name
		if got := tt.kernel.Sysctl(tt.name); got != tt.want {
			t.Errorf("got  %+v\nwant %+v", got, tt.want)
		}
	}
	if got := files(loaded).Tables().Presence; got != host.Present {
		t.Errorf("tables: %v", got)
	}
	if got := files(nil).Tables().Presence; got != host.Unknown {
		t.Errorf("tables without ip_vs: %v", got)
	}
}

func TestConnections(t *testing.T) {
	status := func(text string) Kernel {
		return files(fstest.MapFS{"proc/thread-self/net/ip_vs_status": {Data: []byte(text), Mode: 0o440}})
	}
	if n, known := status("Conns:\t17\nConn buckets:\t256 (8 bits, lfactor -4)\n").Connections(); n != 17 || !known {
		t.Errorf("got %d, %v", n, known)
	}
	for _, k := range []Kernel{files(nil), status(""), status("Conns:\tmany\n")} {
		if n, known := k.Connections(); known {
			t.Errorf("got %d", n)
		}
	}
}

func TestLacks(t *testing.T) {
	if err := files(nil).Lacks("scheduler mh", lvs.FeatureIPv6); err != nil {
		t.Errorf("an unknown feature is not an error: %v", err)
	}
	err := files(nil).Lacks("scheduler mh", "scheduler sh")
	const want = `scheduler "sh" is not available: module ip_vs_sh is not loaded, and "install ip-vs-sh /bin/false" in /etc/modprobe.d/hard.conf prevents it; remove that line, then modprobe ip_vs_sh`
	if !errors.Is(err, host.ErrNotInstalled) || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

// TestAskingLoadsNoModule checks that a read of every capability of the test host loads no module.
func TestAskingLoadsNoModule(t *testing.T) {
	before, err := os.ReadFile("/proc/modules")
	if err != nil {
		t.Skip("this host has no /proc/modules")
	}
	all := New().All()
	after, _ := os.ReadFile("/proc/modules")
	if len(all) != len(lvs.Features())+1+len(newSysctls) || string(before) != string(after) {
		t.Errorf("%d capabilities; modules before:\n%s\nafter:\n%s", len(all), before, after)
	}
}

package crm_test

import (
	"net/netip"
	"strings"
	"testing"

	"lvs-agents/crm"
	"lvs-agents/internal/config"
	"lvs-agents/internal/config/ldirectord"
	"lvs-agents/internal/lvs"
)

func TestBuildReports(t *testing.T) {
	group := func(name string, ips ...string) config.Group {
		g := config.Group{Name: name}
		for _, ip := range ips {
			g.Addresses = append(g.Addresses, config.VirtualAddress{IP: netip.MustParseAddr(ip)})
		}
		return g
	}
	for _, tt := range []struct {
		name    string
		form    crm.Form
		cluster config.Cluster
		want    string
	}{
		{"nothing", crm.HotStandby, config.Cluster{}, ""},
		{"two groups in one group", crm.ClassicGroup, config.Cluster{Groups: []config.Group{group("web", "192.0.2.10"), group("mail", "192.0.2.11")}},
			"error: web.cf: 2 groups of virtual addresses (web, mail), but one file for the services of all; use --inline, so that each group has its services in the parameters, or the form hot-standby, where every director has the table and each group moves alone\n"},
		{"an address is missing", crm.HotStandby, config.Cluster{Groups: []config.Group{group("web", "192.0.2.11"), {Name: "empty"}}},
			"warning: web.cf: group empty has no virtual address, and gets no resource\n" +
				"warning: web.cf:1: no group has the address of -t 192.0.2.10:80; add a resource of ocf:lvs:vip with ip=192.0.2.10\n"},
		{"a director is a real server", crm.HotStandby, config.Cluster{Nodes: []config.Node{{Name: "director2", Links: []netip.Addr{netip.MustParseAddr("192.0.2.22")}}}},
			"error: web.cf:3: server 192.0.2.22 of -t 192.0.2.10:80 is director director2: in a hot standby, both directors would send the same packet to each other; use 127.0.0.1 gate for a server on the director, or the form group\n"},
		{"synchronisation without an id", crm.HotStandby, config.Cluster{Sync: &config.Sync{SyncDaemon: lvs.SyncDaemon{Interface: "eth1"}}},
			"warning: web.cf: synchronisation with syncid 0, which receives the connections of every cluster: 1 is used; choose a number that no other cluster on this network uses\n"},
		{"the name of the host is unknown", crm.HotStandby, config.Cluster{Groups: []config.Group{{Name: "web", Addresses: group("", "192.0.2.10").Addresses, Preferences: []config.Preference{{Score: 150}}}}},
			"warning: web.cf: the file prefers its own host for web, but does not have the name of the host; give the name: --host=FILE=NAME\n"},
		{"a program checks the node", crm.HotStandby, config.Cluster{NodeChecks: []config.NodeCheck{{Name: "chk", Kind: config.CheckProgram, Command: []string{"/bin/chk", "x"}}}},
			"warning: web.cf: the cluster does not run the check chk (/bin/chk x); publish its result on each node from a timer: attrd_updater -n lvs-check-chk -U 1, and -U 0 while it fails\n"},
	} {
		cfg := pair(t)
		cfg.Cluster = &tt.cluster
		resources, problems := crm.Build(cfg, crm.Options{Form: tt.form, File: "ldirectord.cf"})
		var got strings.Builder
		for _, p := range problems {
			got.WriteString(p.Severity.String() + ": " + p.String() + "\n")
		}
		if got.String() != tt.want {
			t.Errorf("%s:\ngot\n%swant\n%s", tt.name, got.String(), tt.want)
		}
		if refused := config.Err(problems) != nil; refused != (len(resources.Primitives) == 0) {
			t.Errorf("%s: %d resources", tt.name, len(resources.Primitives))
		}
	}
}

// TestGroupsMoveAlone checks that each of two groups gets its services and real servers, and its
// preferred node.
func TestGroupsMoveAlone(t *testing.T) {
	cfg, problems := ldirectord.Parse("web.cf", []byte("virtual=192.0.2.10:80\n\treal=192.0.2.21 gate\n\tchecktype=connect\nvirtual=192.0.2.11:25\n\treal=192.0.2.22 gate\n\tchecktype=connect\n"))
	if cfg == nil {
		t.Fatal(problems)
	}
	group := func(name, ip, node string) config.Group {
		return config.Group{Name: name, Addresses: []config.VirtualAddress{{IP: netip.MustParseAddr(ip)}}, Preferences: []config.Preference{{Node: node, Score: 100}}}
	}
	cfg.Cluster = &config.Cluster{Groups: []config.Group{group("web", "192.0.2.10", "director1"), group("mail", "192.0.2.11", "director2")}}
	for form, want := range map[crm.Form][]string{
		crm.ClassicGroup: {"group web web-ipvs web-vip web-health", "group mail mail-ipvs mail-vip mail-health", "location web-prefers-director1 web 700: director1", "location mail-prefers-director2 mail 700: director2"},
		crm.Constraints:  {"colocation mail-vip-with-ipvs inf: mail-vip mail-ipvs", "location mail-ipvs-prefers-director2 mail-ipvs 300: director2"},
	} {
		text := built(t, cfg, crm.Options{Form: form}).Crmsh("x")
		for _, part := range append(want, "virtual=192.0.2.10:80 ", "virtual=192.0.2.11:25 ") {
			if strings.Count(text, part) != 1 {
				t.Errorf("%s: not once %s in\n%s", form, part, text)
			}
		}
	}
	cfg.Cluster.Groups = append(cfg.Cluster.Groups, group("ftp", "192.0.2.12", "director1"))
	if _, problems := crm.Build(cfg, crm.Options{Form: crm.ClassicGroup}); config.Err(problems) == nil || !strings.Contains(config.Err(problems).Error(), "no virtual service has an address of group ftp") {
		t.Errorf("got %v", problems)
	}
}

// TestNodeNames checks that a name that a shell would run is refused, and that the only known node
// is preferred.
func TestNodeNames(t *testing.T) {
	for name, good := range map[string]bool{
		"director1": true, "192.0.2.1": true, "2001:db8::1": true, "lb-1.example.com": true, "": true,
		"a$(touch${IFS}x)": false, "a;b": false, "a\nproperty": false, "-a": false, "a b": false, "`a`": false,
	} {
		cfg := pair(t)
		cfg.Cluster = &config.Cluster{
			Nodes:  []config.Node{{Name: name}},
			Groups: []config.Group{{Addresses: cfg.Cluster.Groups[0].Addresses, Preferences: []config.Preference{{Node: name, Score: 100}}}},
		}
		resources, problems := crm.Build(cfg, crm.Options{Form: crm.HotStandby, File: "/etc/ha.d/ldirectord.cf"})
		if err := config.Err(problems); (err == nil) != good {
			t.Errorf("%q: %v", name, err)
		}
		if good && name != "" && !strings.Contains(resources.PCS("x"), " prefers "+name+"=") {
			t.Errorf("%q is not preferred:\n%s", name, resources.PCS("x"))
		}
	}
}

// TestNamesAreStable checks that another address and another mark change no existing name.
func TestNamesAreStable(t *testing.T) {
	cfg := marked(t)
	names := func() string {
		var all []string
		for _, p := range built(t, cfg, crm.Options{Form: crm.HotStandby, File: "ldirectord.cf", Name: "web"}).Primitives {
			all = append(all, p.ID)
		}
		return strings.Join(all, " ")
	}
	if got, want := names(), "web-mark web-ipvs web-health web-vip"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	group, other := &cfg.Cluster.Groups[0], cfg.Cluster.Marks[0]
	group.Addresses = append(group.Addresses, config.VirtualAddress{IP: netip.MustParseAddr("2001:db8::10")})
	other.Mark = 20
	cfg.Cluster.Marks = append(cfg.Cluster.Marks, other)
	if got, want := names(), "web-mark web-mark-20 web-ipvs web-health web-vip web-vip-2001-db8--10"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestHaresources(t *testing.T) {
	cfg := pair(t)
	cfg.Cluster.Groups[0].Addresses = append(cfg.Cluster.Groups[0].Addresses,
		config.VirtualAddress{IP: netip.MustParseAddr("2001:db8::10"), NIC: "eth0", Bits: 64, Label: "web"})
	r := built(t, cfg, crm.Options{Form: crm.ClassicGroup, File: "web.cf"})
	got, err := r.Haresources("director2")
	want := "director2 lvsipvs::web.cf lvshealth::web.cf lvsvip::192.0.2.10/24/eth0 lvsvip::2001:db8:0:0:0:0:0:10/64/eth0::iflabel=web\n"
	if err != nil || got != want {
		t.Errorf("got  %s(%v)\nwant %s", got, err, want)
	}
	for name, want := range map[string]struct {
		cfg  *config.Config
		form crm.Form
		text string
	}{
		"hot standby":     {pair(t), crm.HotStandby, "haresources can only have a group; use the form group"},
		"synchronisation": {synchronised(pair(t)), crm.ClassicGroup, "heartbeat has no clones, so haresources cannot have cl-sync; configure lvs-sync outside of heartbeat"},
		"marks":           {marked(t), crm.ClassicGroup, "lvs-mark: heartbeat has no script for ocf:lvs:fwmark; start it outside of heartbeat"},
	} {
		r := built(t, want.cfg, crm.Options{Form: want.form, File: "web.cf"})
		if _, err := r.Haresources("director1"); err == nil || err.Error() != want.text {
			t.Errorf("%s: got  %v\nwant %s", name, err, want.text)
		}
	}
}

// TestControlCharacters checks that a value that XML cannot have is refused.
func TestControlCharacters(t *testing.T) {
	cfg, problems := ldirectord.Parse("web.cf", []byte("virtual=192.0.2.10:80\n\treal=192.0.2.21 gate\n\tchecktype=negotiate\n\tservice=http\n\trequest=\"/\"\n\treceive=\"a\x1bb\"\n"))
	if cfg == nil {
		t.Fatal(problems)
	}
	_, problems = crm.Build(cfg, crm.Options{Form: crm.HotStandby})
	if err := config.Err(problems); err == nil || !strings.Contains(err.Error(), "parameter receive of lvs-health has a control character") {
		t.Errorf("got %v", problems)
	}
}

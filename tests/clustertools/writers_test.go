package clustertools

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/beevik/etree"
	"github.com/google/go-cmp/cmp"

	"lvs-agents/crm"
	"lvs-agents/internal/config"
	"lvs-agents/internal/config/ldirectord"
	"lvs-agents/internal/host"
	"lvs-agents/internal/lvs"
)

// clusterOf returns a configuration that has every kind of thing that a cluster can have: two
// addresses, marks, synchronisation, preferred nodes, conditions of nodes and mail.
func clusterOf(t *testing.T) *config.Config {
	t.Helper()
	cfg, problems := ldirectord.Parse("web.cf", []byte(`virtual=10
	real=192.0.2.21 gate
	real=192.0.2.22 gate 2
	checktype=negotiate
	service=http
	checkport=80
	request="/?a=b&c='d'\x$e!"
	receive="it's \"good\""
`))
	if err := config.Err(problems); err != nil {
		t.Fatal(err)
	}
	cfg.Cluster = &config.Cluster{
		Nodes: []config.Node{{Name: "director1"}, {Name: "director2"}},
		Groups: []config.Group{{
			Name: "web",
			Addresses: []config.VirtualAddress{
				{IP: netip.MustParseAddr("192.0.2.10"), NIC: "eth0", Bits: 24, Label: "web"},
				{IP: netip.MustParseAddr("2001:db8::10"), NIC: "eth0", Bits: 64, PreferredLft: "forever", Announce: config.Announcements{Interval: time.Second}},
			},
			Preferences: []config.Preference{{Node: "director1", Score: 100}, {Node: "director2", Score: 150}},
		}},
		Marks: []config.Mark{{Marks: host.Marks{Mark: 10, IP: []netip.Prefix{netip.MustParsePrefix("192.0.2.10/32")}, Ports: []host.Ports{{First: 80, Last: 80}, {First: 443, Last: 444}}}}},
		Sync:  &config.Sync{SyncDaemon: lvs.SyncDaemon{Interface: "eth0", ID: 7}},
		NodeChecks: []config.NodeCheck{
			{Name: "router", Kind: config.CheckPing, Hosts: []string{"192.0.2.1", "192.0.2.2"}},
			{Kind: config.CheckInterface, NIC: "eth1", Weight: -60},
		},
		Notices: []config.Notice{{To: []string{"admin@example.org", "root@example.org"}, From: "cluster@example.org"}},
	}
	return cfg
}

// TestWritersGiveTheSameCluster loads the output of the three writers with their programs. The
// three CIBs must be the same except for names that the programs choose. crm_verify must accept
// each of them.
func TestWritersGiveTheSameCluster(t *testing.T) {
	for form, file := range map[crm.Form]string{crm.ClassicGroup: "", crm.Constraints: "ldirectord.cf", crm.HotStandby: ""} {
		t.Run(string(form), func(t *testing.T) {
			resources, problems := crm.Build(clusterOf(t), crm.Options{Form: form, File: file})
			if err := config.Err(problems); err != nil {
				t.Fatal(err)
			}
			xml, err := resources.CIB("web.xml")
			if err != nil {
				t.Fatal(err)
			}
			var want []string
			for _, output := range []struct{ name, text string }{
				{"web.xml", xml}, {"web.crm", resources.Crmsh("web.crm")}, {"web.pcs", resources.PCS("web.pcs")},
			} {
				path := filepath.Join(t.TempDir(), output.name)
				if err := os.WriteFile(path, []byte(output.text), 0o600); err != nil {
					t.Fatal(err)
				}
				cib := load(t, path)
				current(t, "crm_verify", "-VV", "-x", cib)
				if got := canonical(t, cib); want == nil {
					want = got
				} else if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s (-web.xml +%s):\n%s", output.name, output.name, diff)
				}
			}
		})
	}
}

// TestPreferredDirectorGetsTheGroup reads from Pacemaker's scheduler where the addresses run: on
// the preferred director, even when it returns later, and not on a director that does not meet a
// condition.
func TestPreferredDirectorGetsTheGroup(t *testing.T) {
	good := goodDirectors(t)
	for _, tt := range []struct {
		name, from string // from is where the addresses run before.
		set        [][3]string
		stays      bool
		want       string
	}{
		{name: "start", want: "director2"},
		{name: "the preferred director returns", from: "director1", want: "director2"},
		{name: "the preferred director returns, but the group stays", from: "director1", stays: true, want: "director1"},
		{name: "the preferred director lost its interface", from: "director2", set: [][3]string{{"director2", "ethmonitor-eth1", "0"}}, want: "director1"},
		{name: "both lost it", from: "director2", set: [][3]string{{"director1", "ethmonitor-eth1", "0"}, {"director2", "ethmonitor-eth1", "0"}}, want: "director2"},
		{name: "the preferred director does not reach the router", from: "director2", set: [][3]string{{"director2", "ping-router", "0"}}, want: "director1"},
		{name: "no director reaches the router", from: "director2", set: [][3]string{{"director1", "ping-router", "0"}, {"director2", "ping-router", "0"}}, want: ""},
	} {
		for _, form := range crm.Forms() {
			t.Run(tt.name+" "+form, func(t *testing.T) {
				cib := filepath.Join(t.TempDir(), "cib.xml")
				if err := os.WriteFile(cib, good(form, tt.stays), 0o600); err != nil {
					t.Fatal(err)
				}
				t.Setenv("CIB_file", cib)
				if tt.from != "" {
					other := map[string]string{"director1": "director2", "director2": "director1"}[tt.from]
					mustCommand(t, "crm_simulate", "-x", cib, "-S", "-O", cib, "--node-up", tt.from, "--node-down", other, "--quorum", "true")
				}
				for _, each := range tt.set {
					setAttribute(t, each[0], each[1], each[2])
				}
				out := filepath.Join(t.TempDir(), "after.xml")
				text := mustCommand(t, "crm_simulate", "-x", cib, "-S", "-O", out, "--node-up", "director1", "--node-up", "director2", "--quorum", "true")
				for _, vip := range []string{"web-vip", "web-vip-2001-db8--10"} {
					if got := runsOn(mustCommand(t, "crm_simulate", "-x", out), vip); got != tt.want {
						t.Errorf("%s runs on %q, want %q\n%s\n%s", vip, got, tt.want, text, mustCommand(t, "crm_simulate", "-x", cib, "-S", "-s"))
					}
				}
			})
		}
	}
}

// goodDirectors returns a function with the CIB of a form, where both directors meet all
// conditions.
func goodDirectors(t *testing.T) func(form string, stays bool) []byte {
	t.Helper()
	made := map[string][]byte{}
	return func(form string, stays bool) []byte {
		key := fmt.Sprint(form, stays)
		if made[key] == nil {
			made[key] = goodCIB(t, form, stays)
		}
		return made[key]
	}
}

func goodCIB(t *testing.T, form string, stays bool) []byte {
	t.Helper()
	cfg := clusterOf(t)
	cfg.Cluster.Groups[0].Stays = stays
	resources, problems := crm.Build(cfg, crm.Options{Form: crm.Form(form), File: "ldirectord.cf"})
	if err := config.Err(problems); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "web.crm")
	if err := os.WriteFile(path, []byte(resources.Crmsh("web.crm")), 0o600); err != nil {
		t.Fatal(err)
	}
	cib := load(t, path)
	for _, node := range []string{"director1", "director2"} {
		mustCommand(t, "cibadmin", "--create", "--scope", "nodes", "--xml-text", `<node id="`+node+`" uname="`+node+`"/>`)
		for name, value := range map[string]string{
			"ethmonitor-eth1": "1", "ping-router": "1", "lvs-health-web-health": "1000", "lvs-sync-web-sync": "100",
		} {
			setAttribute(t, node, name, value)
		}
	}
	text, err := os.ReadFile(cib)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// runsOn returns the node of a resource in the output of crm_simulate.
func runsOn(text, resource string) string {
	match := regexp.MustCompile(`\* ` + regexp.QuoteMeta(resource) + `\s+\(ocf:[^)]*\):\s+Started (\S+)`).FindStringSubmatch(text)
	if match == nil {
		return ""
	}
	return match[1]
}

// canonical returns resources, constraints and alerts of a CIB as sorted lines. It leaves out the
// names that the programs choose, and spells times as numbers of seconds.
func canonical(t *testing.T, cib string) []string {
	t.Helper()
	doc := etree.NewDocument()
	if err := doc.ReadFromFile(cib); err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, section := range []string{"resources", "constraints", "alerts"} {
		if e := doc.FindElement("//configuration/" + section); e != nil {
			lines = append(lines, described(e, "")...)
		}
	}
	slices.Sort(lines)
	return lines
}

// named are the elements whose names are our choice.
var named = []string{"primitive", "group", "clone", "rsc_order", "rsc_colocation", "rsc_location", "alert"}

// described returns a line for each element without children. A line has the path of its element.
func described(e *etree.Element, path string) []string {
	if strings.HasSuffix(e.Tag, "_attributes") && len(e.ChildElements()) == 0 {
		return nil
	}
	var attrs []string
	for _, a := range e.Attr {
		switch {
		case a.Key == "id" && !slices.Contains(named, e.Tag), a.Key == "boolean-op" && a.Value == "and",
			(a.Key == "first-action" || a.Key == "then-action") && a.Value == "start": // the defaults
			continue
		case a.Key == "id" && e.SelectAttr("node") != nil: // pcs chooses the name of this constraint.
			continue
		case a.Key == "interval" || a.Key == "timeout":
			a.Value = inSeconds(a.Value)
		}
		attrs = append(attrs, a.Key+"="+a.Value)
	}
	slices.Sort(attrs)
	path += "/" + strings.Join(append([]string{e.Tag}, attrs...), " ")
	if len(e.ChildElements()) == 0 {
		return []string{path}
	}
	var lines []string
	members := 0
	for _, child := range e.ChildElements() {
		place := path
		if e.Tag == "group" && child.Tag == "primitive" {
			members++
			place += "/" + strconv.Itoa(members)
		}
		lines = append(lines, described(child, place)...)
	}
	return lines
}

func inSeconds(text string) string {
	d, err := time.ParseDuration(text)
	if n, numeric := strconv.Atoi(text); numeric == nil {
		d, err = time.Duration(n)*time.Second, nil
	}
	if err != nil {
		return text
	}
	return d.String()
}

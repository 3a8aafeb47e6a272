package crm_test

import (
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"lvs-agents/crm"
	"lvs-agents/internal/config"
	"lvs-agents/internal/config/ldirectord"
	"lvs-agents/internal/host"
	"lvs-agents/internal/lvs"
	"lvs-agents/metadata/metadatatest"
)

// pair is the configuration of the examples: one address, and two directors.
func pair(t *testing.T) *config.Config {
	t.Helper()
	cfg := parsed(t, "virtual=192.0.2.10:80\n\treal=192.0.2.21 gate\n\treal=192.0.2.22 gate 2\n")
	cfg.Cluster = &config.Cluster{Groups: []config.Group{{Addresses: []config.VirtualAddress{
		{IP: netip.MustParseAddr("192.0.2.10"), NIC: "eth0", Bits: 24},
	}}}}
	return cfg
}

func parsed(t *testing.T, text string) *config.Config {
	t.Helper()
	cfg, problems := ldirectord.Parse("web.cf", []byte(text))
	if err := config.Err(problems); err != nil {
		t.Fatal(err)
	}
	return cfg
}

// marked is the configuration of the example with a packet mark.
func marked(t *testing.T) *config.Config {
	t.Helper()
	cfg := parsed(t, `virtual=10
	real=192.0.2.21 gate
	real=192.0.2.22 gate 2
	persistent=360
	service=http
	checktype=negotiate
	checkport=80
	request="/index.html"
	checktimeout=3
	checkinterval=2
	quiescent=yes
`)
	cfg.Cluster = &config.Cluster{
		Groups: pair(t).Cluster.Groups,
		Marks: []config.Mark{{Marks: host.Marks{
			Mark: 10, IP: []netip.Prefix{netip.MustParsePrefix("192.0.2.10/32")}, Ports: []host.Ports{{First: 80, Last: 80}, {First: 443, Last: 443}},
		}}},
	}
	return cfg
}

// synchronised adds synchronisation daemons.
func synchronised(cfg *config.Config) *config.Config {
	cfg.Cluster.Sync = &config.Sync{SyncDaemon: lvs.SyncDaemon{Interface: "eth0", ID: 1}}
	return cfg
}

func built(t *testing.T, cfg *config.Config, o crm.Options) crm.Resources {
	t.Helper()
	resources, problems := crm.Build(cfg, o)
	for _, p := range problems {
		t.Errorf("%s: %s", p.Severity, p)
	}
	return resources
}

// realServers are the resources of the example for real servers that are nodes of the cluster.
func realServers() crm.Resources {
	once := []crm.Operation{{Name: "start", Timeout: 20 * time.Second}, {Name: "stop", Timeout: 20 * time.Second}}
	return crm.Resources{
		Title: "For real servers that are nodes of the cluster. Each of them needs the node attribute: crm node attribute rs1 set role web, or pcs node attribute rs1 role=web.",
		Remarks: []string{
			"The clone runs only on nodes whose attribute role has the value web. Every five minutes, the second monitor sends packets to prove that no neighbour learns the address from the real server.",
		},
		Primitives: []crm.Primitive{{ID: "web-rs", Agent: "ocf:lvs:realserver", Params: []crm.Pair{{Name: "ip", Value: "192.0.2.10"}}, Operations: append(once,
			crm.Operation{Name: "monitor", Timeout: 20 * time.Second, Interval: 10 * time.Second},
			crm.Operation{Name: "monitor", Timeout: 30 * time.Second, Interval: 5 * time.Minute, Depth: 10},
		)}},
		Clones: []crm.Clone{{ID: "web-servers", Member: "web-rs", Meta: []crm.Pair{{Name: "interleave", Value: "true"}}}},
		Constraints: []crm.Constraint{crm.Location{ID: "web-servers-only", Resource: "web-servers", Rule: &crm.Rule{Score: -crm.Infinity, Or: true, Expressions: []crm.Expression{
			{Attribute: "role", Operator: "not_defined"}, {Attribute: "role", Operator: "ne", Value: "web"},
		}}}},
	}
}

// examples are the resources of the files in crm/examples, by name.
func examples(t *testing.T) map[string]crm.Resources {
	t.Helper()
	options := func(form crm.Form, file string) crm.Options { return crm.Options{Form: form, Name: "web", File: file} }
	fwmark := built(t, marked(t), options(crm.HotStandby, ""))
	fwmark.Title = "Several ports of one address as one service (a firewall mark): HTTP and HTTPS of a client go to the same real server. Every director marks the packets, has the table and checks the real servers. Only the address moves."
	fwmark.Remarks = []string{"The virtual service of mark 10 can also be in a file: virtual=10 in ldirectord.cf."}
	return map[string]crm.Resources{
		"group":       built(t, pair(t), options(crm.ClassicGroup, "ldirectord.cf")),
		"constraints": built(t, pair(t), options(crm.Constraints, "ldirectord.cf")),
		"hot-standby": built(t, synchronised(pair(t)), options(crm.HotStandby, "ldirectord.cf")),
		"fwmark":      fwmark,
		"realserver":  realServers(),
	}
}

func TestGenerated(t *testing.T) {
	for name, resources := range examples(t) {
		metadatatest.Golden(t, "crm/examples/"+name+".crm", resources.Crmsh(name+".crm"))
		metadatatest.Golden(t, "crm/examples/"+name+".pcs", resources.PCS(name+".pcs"))
	}
}

// TestHaresourcesExample compares the first line with resources in the example, which also has
// other forms in its comments.
func TestHaresourcesExample(t *testing.T) {
	text, err := os.ReadFile("examples/haresources")
	if err != nil {
		t.Fatal(err)
	}
	want, err := examples(t)["group"].Haresources("director1")
	if err != nil || !strings.Contains(string(text), "\n"+want) {
		t.Errorf("crm/examples/haresources does not have the line %q (%v)", want, err)
	}
}

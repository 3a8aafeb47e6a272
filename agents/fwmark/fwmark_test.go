package fwmark

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/sirupsen/logrus"

	"lvs-agents/internal/host"
	"lvs-agents/internal/kernel/kerneltest"
	"lvs-agents/metadata/metadatatest"
	"lvs-agents/ocf"
	"lvs-agents/ocf/ocftest"
)

func TestGenerated(t *testing.T) {
	metadatatest.Run(t, func() ocf.Agent { return New(nil) })
}

type node struct {
	*kerneltest.Marks
	state string
}

func newNode(t *testing.T) node { return node{kerneltest.NewMarks(), t.TempDir()} }

func (n node) run(id, action string, words ...string) (code ocf.Code, reason, log string) {
	return ocftest.Run(New(n.Marks), n.state, id, action, words...)
}

func (n node) must(t *testing.T, want ocf.Code, id, action string, words ...string) (reason string) {
	t.Helper()
	code, reason, log := n.run(id, action, words...)
	if code != want {
		t.Fatalf("%s %s %q: got %d, want %d\nreason: %s\nlog: %s\nkernel:\n%s", id, action, words, code, want, reason, log, n.marks())
	}
	return reason
}

// marks returns the marks of the kernel.
func (n node) marks() string {
	var lines []string
	for line := range strings.Lines(n.String()) {
		if strings.Contains(line, "marks ") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}

func (n node) want(t *testing.T, want string) {
	t.Helper()
	if diff := cmp.Diff(want, n.marks()); diff != "" {
		t.Errorf("kernel (-want +got):\n%s", diff)
	}
}

var web = []string{"mark=10", "ip=192.0.2.10", "ports=443, 80"}

const (
	webMarks = "mark=10 ip=192.0.2.10 proto=tcp ports=80,443"
	running  = "nftmarks name=fwmark-web " + webMarks + "\n"
)

func TestEveryActionTwice(t *testing.T) {
	n := newNode(t)
	for _, step := range []struct {
		action string
		code   ocf.Code
		want   string
	}{
		{"probe", 7, ""}, {"monitor", 7, ""}, {"stop", 0, ""}, {"stop", 0, ""}, {"reload-agent", 7, ""},
		{"start", 0, running}, {"start", 0, running}, {"monitor", 0, running}, {"probe", 0, running}, {"reload-agent", 0, running},
		{"validate-all", 0, running}, {"stop", 0, ""}, {"stop", 0, ""}, {"monitor", 7, ""},
	} {
		n.must(t, step.code, "web", step.action, web...)
		n.want(t, step.want)
	}
}

func TestEveryParameterReachesTheKernel(t *testing.T) {
	for _, tt := range []struct{ params, want string }{
		{"mark=0xA|ip=192.0.2.10", "nftmarks name=fwmark-web mark=10 ip=192.0.2.10 proto=tcp"},
		{"mark=4294967295|ip=2001:db8::10 192.0.2.10,192.0.2.64/27|proto=udp sctp|ports=8000:8010 1-2 3|interface=eth0",
			"nftmarks name=fwmark-web mark=4294967295 ip=192.0.2.10,192.0.2.64/27,2001:db8::10 proto=udp,sctp ports=1-3,8000-8010 interface=eth0"},
		{"mark=1|ports=80|proto=any", "nftmarks name=fwmark-web mark=1 ip=0.0.0.0/0,::/0 proto=tcp,udp,sctp ports=80"},
		{"mark=1|interface=eth0|family=ipv6", "nftmarks name=fwmark-web mark=1 ip=::/0 proto=tcp interface=eth0"},
		{"mark=1|ip=192.0.2.10 192.0.2.0/24|family=ipv4|method=iptables", "iptablesmarks name=fwmark-web mark=1 ip=192.0.2.0/24 proto=tcp"},
	} {
		n := newNode(t)
		n.must(t, 0, "web", "start", strings.Split(tt.params, "|")...)
		n.want(t, tt.want+"\n")
		n.must(t, 0, "web", "monitor", strings.Split(tt.params, "|")...)
	}
}

func TestRefusedParameters(t *testing.T) {
	for params, want := range map[string]string{
		"ip=192.0.2.10":                                   "parameter mark is required",
		"mark=0|ip=192.0.2.10":                            `parameter mark="0": not a number from 1 to 4294967295, decimal or 0x and hexadecimal digits`,
		"mark=4294967296|ip=192.0.2.10":                   `parameter mark="4294967296": not a number from 1 to 4294967295, decimal or 0x and hexadecimal digits`,
		"mark=x|ip=192.0.2.10":                            `parameter mark="x": not a number from 1 to 4294967295, decimal or 0x and hexadecimal digits`,
		"mark=1":                                          "parameter ip, ports or interface is required: without all three, every packet of this host gets the mark",
		"mark=1|ip=192.0.2.300":                           `parameter ip="192.0.2.300": "192.0.2.300" is not an address or a network`,
		"mark=1|ip=192.0.2.10,192.0.2.10":                 `parameter ip="192.0.2.10,192.0.2.10": "192.0.2.10" is there twice`,
		"mark=1|ip=192.0.2.10|family=ipv6":                "parameter ip: 192.0.2.10/32 is not an address of family=ipv6; remove one of them",
		"mark=1|ip=127.0.0.1":                             "parameter ip: 127.0.0.1/32 cannot be a virtual address",
		"mark=1|ip=192.0.2.10|proto=icmp":                 `parameter proto="icmp": "icmp" is not a protocol that IPVS balances; give tcp, udp, sctp or any`,
		"mark=1|ip=192.0.2.10|ports=0":                    `parameter ports="0": "0" is not a port from 1 to 65535 or a range of ports`,
		"mark=1|ip=192.0.2.10|ports=90-80":                `parameter ports="90-80": "90-80" is not a port from 1 to 65535 or a range of ports`,
		"mark=1|ip=192.0.2.10|ports=http":                 `parameter ports="http": "http" is not a port from 1 to 65535 or a range of ports`,
		"mark=1|ip=192.0.2.10|ports=,":                    `parameter ports=",": the list is empty`,
		"mark=1|ip=192.0.2.10|interface=eth+":             `parameter interface="eth+" is not the name of one interface`,
		"mark=1|ip=192.0.2.10|method=iptables-nft":        `parameter method="iptables-nft": unknown (one of auto, nftables, iptables)`,
		"mark=1|ip=192.0.2.10|interface=abcdefghijklmnop": `parameter interface="abcdefghijklmnop" is not the name of one interface`,
	} {
		n := newNode(t)
		words := strings.Split(params, "|")
		for _, action := range []string{"validate-all", "start"} {
			if got := n.must(t, 6, "web", action, words...); got != want {
				t.Errorf("%s %s:\ngot  %s\nwant %s", action, params, got, want)
			}
		}
		n.must(t, 7, "web", "probe", words...)
		n.must(t, 0, "web", "stop", words...)
		n.want(t, "")
	}
}

// TestMethod checks which kind of rules start makes for each value of method. The host has or lacks
// nftables and legacy iptables, and other programs use or do not use legacy iptables.
func TestMethod(t *testing.T) {
	const nft, legacy = host.NFTMarks, host.IPTablesMarks
	const none = "this host has neither nftables nor legacy iptables: nftmarks are not in this kernel; iptablesmarks are not in this kernel"
	for _, tt := range []struct {
		method  string
		foreign bool
		lacks   string
		want    host.SettingKind
		reason  string
	}{
		{"auto", false, "", nft, ""},
		{"auto", true, "", legacy, ""},
		{"auto", true, string(legacy), nft, ""},
		{"auto", false, string(nft), legacy, ""},
		{"auto", false, string(nft + legacy), "", none},
		{"nftables", true, "", nft, ""},
		{"nftables", false, string(nft), "", "nftmarks are not in this kernel"},
		{"iptables", false, "", legacy, ""},
		{"iptables", false, string(legacy), "", "iptablesmarks are not in this kernel"},
	} {
		t.Run(fmt.Sprintf("%s, foreign %t, lacks %q", tt.method, tt.foreign, tt.lacks), func(t *testing.T) {
			n := newNode(t)
			n.Foreign = tt.foreign
			for _, kind := range kinds {
				n.Lacks[kind] = strings.Contains(tt.lacks, string(kind))
			}
			params := append([]string{"method=" + tt.method}, web...)
			if tt.want == "" {
				for action, code := range map[string]ocf.Code{"start": 5, "validate-all": 5} {
					if got := n.must(t, code, "web", action, append(params, "OCF_CHECK_LEVEL=10")...); got != tt.reason {
						t.Errorf("%s: %s", action, got)
					}
				}
				n.must(t, 7, "web", "probe", params...)
			} else {
				n.must(t, 0, "web", "start", params...)
				n.want(t, string(tt.want)+" name=fwmark-web "+webMarks+"\n")
				n.must(t, 0, "web", "monitor", params...)
			}
			n.must(t, 0, "web", "stop", params...)
			n.want(t, "")
		})
	}
}

// TestRulesStayWhereTheyAre checks that a start of a running resource does not move its rules to
// another method, unless the parameter names it.
func TestRulesStayWhereTheyAre(t *testing.T) {
	n := newNode(t)
	n.must(t, 0, "web", "start", web...)
	n.Foreign = true
	n.must(t, 0, "web", "start", web...)
	n.must(t, 0, "web", "reload-agent", web...)
	n.want(t, running)
	n.must(t, 0, "web", "start", append(web, "method=iptables")...)
	n.want(t, "iptablesmarks name=fwmark-web "+webMarks+"\n")
	n.must(t, 0, "web", "stop")
	n.want(t, "")
}

func TestReloadReplacesInOneStep(t *testing.T) {
	n := newNode(t)
	n.must(t, 0, "web", "start", web...)
	n.Commands()
	n.must(t, 0, "web", "reload-agent", "mark=11", "ip=192.0.2.10,2001:db8::10", "ports=80-90", "proto=any")
	const command = "nft 'table inet fwmark-web { chain prerouting { type filter hook prerouting priority -149;" +
		" ip daddr { 192.0.2.10 } meta l4proto { tcp,udp,sctp } th dport { 80-90 } counter meta mark set 11;" +
		" ip6 daddr { 2001:db8::10 } meta l4proto { tcp,udp,sctp } th dport { 80-90 } counter meta mark set 11; }; }'"
	if diff := cmp.Diff([]string{command}, n.Commands()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	n.want(t, "nftmarks name=fwmark-web mark=11 ip=192.0.2.10,2001:db8::10 proto=tcp,udp,sctp ports=80-90\n")
}

// TestFaultsOfARunningResource checks that monitor finds each fault, and that stop then succeeds.
// Start repairs the rules, but cannot repair a missing interface.
func TestFaultsOfARunningResource(t *testing.T) {
	rules := host.Setting{Kind: host.NFTMarks, Name: "fwmark-web"}
	const make = "nft 'table inet fwmark-web { chain prerouting { type filter hook prerouting priority -149; " +
		`iifname "eth0" ip daddr { 192.0.2.10 } meta l4proto { tcp } th dport { 80,443 } counter meta mark set 10; }; }'`
	const want = "mark=10 ip=192.0.2.10 proto=tcp ports=80,443 interface=eth0"
	for _, tt := range []struct {
		name   string
		breaks func(node)
		reason string
	}{
		{"flushed", func(n node) { n.Put(rules, host.Off) }, "nothing of this resource is left on this host: nftables table inet fwmark-web is off and not " + want + "; " + make},
		{"empty", func(n node) { n.Put(rules, "empty") },
			"nftables table inet fwmark-web is empty and not " + want + "; nft delete table inet fwmark-web && " + make},
		{"another mark", func(n node) { n.Put(rules, "mark=11 ip=192.0.2.10 proto=tcp ports=80,443 interface=eth0") },
			"nftables table inet fwmark-web is mark=11 ip=192.0.2.10 proto=tcp ports=80,443 interface=eth0 and not " + want + "; nft delete table inet fwmark-web && " + make},
		{"the interface is gone", func(n node) { n.Rename("eth0", "") }, "interface eth0 of the marks is gone; create it"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			params := append([]string{"interface=eth0"}, web...)
			for _, next := range []string{"stop", "start"} {
				n := newNode(t)
				n.must(t, 0, "web", "start", params...)
				tt.breaks(n)
				if got := n.must(t, 1, "web", "monitor", params...); got != tt.reason {
					t.Errorf("got  %s\nwant %s", got, tt.reason)
				}
				if next == "start" && strings.Contains(tt.name, "interface") {
					n.must(t, 5, "web", "start", params...)
					continue
				}
				n.must(t, 0, "web", next, params...)
				n.want(t, map[string]string{"start": "nftmarks name=fwmark-web " + want + "\n", "stop": ""}[next])
			}
		})
	}
}

// TestOtherResourceWithTheSamePackets checks which resources can run together on a node.
func TestOtherResourceWithTheSamePackets(t *testing.T) {
	for params, refused := range map[string]bool{
		"mark=11|ip=192.0.2.10|ports=80":                  true,
		"mark=11|ip=192.0.2.0/24|proto=any":               true,
		"mark=11|ports=1-100":                             true,
		"mark=11|ip=192.0.2.10|ports=443|interface=eth0":  true,
		"mark=11|ip=192.0.2.10|ports=443|method=iptables": true,
		"mark=10|ip=192.0.2.10|ports=80":                  false,
		"mark=11|ip=192.0.2.10|ports=81-442":              false,
		"mark=11|ip=192.0.2.10|ports=80|proto=udp":        false,
		"mark=11|ip=192.0.2.11,2001:db8::10|ports=80":     false,
		"mark=11|ports=80|family=ipv6":                    false,
	} {
		t.Run(params, func(t *testing.T) {
			n := newNode(t)
			n.must(t, 0, "web", "start", web...)
			words := strings.Split(params, "|")
			if !refused {
				n.must(t, 0, "other", "start", words...)
				n.must(t, 0, "web", "monitor", web...)
				n.must(t, 0, "other", "stop", words...)
				n.want(t, running)
				return
			}
			got := n.must(t, 1, "other", "start", words...)
			if !strings.HasPrefix(got, `resource "web" gives some of the same packets another mark (`+webMarks+`, and this resource mark=11 `) ||
				!strings.HasSuffix(got, "); change the parameters of one of them") {
				t.Error(got)
			}
			n.must(t, 7, "other", "monitor", words...)
			n.must(t, 0, "other", "stop", words...)
			n.want(t, running)
			n.must(t, 0, "web", "stop", web...)
			n.must(t, 0, "other", "start", words...)
		})
	}
}

// TestRulesWithoutALedger checks rules with the name of the resource that no start has recorded.
func TestRulesWithoutALedger(t *testing.T) {
	for _, kind := range kinds {
		n := newNode(t)
		n.Put(host.Setting{Kind: kind, Name: "fwmark-web"}, webMarks)
		n.Put(host.Setting{Kind: kind, Name: "fwmark-other"}, webMarks)
		if got := n.must(t, 1, "web", "probe", web...); !strings.Contains(got, "fwmark-web exists, but no start has recorded it; stop this resource") {
			t.Error(got)
		}
		n.must(t, 0, "web", "stop", web...)
		n.want(t, string(kind)+" name=fwmark-other "+webMarks+"\n")
		n.must(t, 7, "web", "probe", web...)
	}
}

func TestNamesAreDifferentAndShort(t *testing.T) {
	seen := map[string]string{}
	for _, id := range []string{"web", "web:0", "web:1", "web_0", "a.b-c_d", "a b", "fwmark-web",
		"a-resource-with-a-long-name-1", "a-resource-with-a-long-name-2", "twenty-one-characters", "zwanzig-und-zwei-zeich", "größe"} {
		got := name(id)
		if other, twice := seen[got]; twice || len(got) > longest || strings.ContainsAny(got, " :ö") {
			t.Errorf("%s: %s, as %s", id, got, other)
		}
		seen[got] = id
	}
	if got := name("twenty-one-characters"); got != "fwmark-twenty-one-characters" {
		t.Error(got)
	}
}

// TestFailureAtEveryOperation checks a start that cannot make its change. After the failed start,
// another start must succeed, and stop must remove everything.
func TestFailureAtEveryOperation(t *testing.T) {
	n := newNode(t)
	n.FailAfter(0, errors.New("no"))
	if got := n.must(t, 1, "web", "start", web...); !strings.HasSuffix(got, ": no") {
		t.Error(got)
	}
	n.must(t, 1, "web", "monitor", web...)
	n.must(t, 0, "web", "start", web...)
	n.FailAfter(0, errors.New("no"))
	_, _, _ = n.run("web", "stop", web...)
	n.must(t, 0, "web", "stop", web...)
	n.want(t, "")
}

// mortal is a kernel that ends its caller before or after one operation, as if the process were
// killed.
type mortal struct {
	Kernel
	kerneltest.Death
}

func (m *mortal) Get(ctx context.Context, s host.Setting) (value string, err error) {
	m.Do(func() { value, err = m.Kernel.Get(ctx, s) })
	return value, err
}

func (m *mortal) Set(ctx context.Context, s host.Setting, value string) (err error) {
	m.Do(func() { err = m.Kernel.Set(ctx, s, value) })
	return err
}

// TestKilledAtEveryOperation checks an action that is killed before or after an operation: start,
// stop, and a start with other parameters. After that, monitor must agree with the kernel, and the
// next stop or start must work.
func TestKilledAtEveryOperation(t *testing.T) {
	changed := []string{"mark=11", "ip=192.0.2.10"}
	moved := append([]string{"method=iptables"}, web...)
	for _, victim := range []struct {
		action string
		params []string
	}{{"start", web}, {"start", changed}, {"start", moved}, {"stop", web}} {
		for _, next := range []string{"start", "stop"} {
			for _, after := range []bool{false, true} {
				at := 0
				for killedAt(t, victim.action, victim.params, next, at, after) {
					at++
				}
				if at < 3 {
					t.Errorf("%s %v: only %d operations", victim.action, victim.params, at)
				}
			}
		}
	}
}

func killedAt(t *testing.T, action string, params []string, next string, at int, after bool) bool {
	t.Helper()
	n := newNode(t)
	if action == "stop" || params[0] != web[0] {
		n.must(t, 0, "web", "start", web...)
	}
	m := &mortal{Kernel: n.Marks, Death: kerneltest.Death{Left: at, After: after}}
	done := make(chan bool)
	go func() {
		defer close(done)
		agent := New(m)
		environ := []string{}
		for _, p := range params {
			environ = append(environ, "OCF_RESKEY_"+p)
		}
		agent.Metadata().Load(environ)
		call := ocf.Call{Instance: "web", StateDir: n.state, Log: quiet()}
		if action == "start" {
			_ = agent.Start(t.Context(), call)
			return
		}
		_ = agent.Stop(t.Context(), call)
	}()
	<-done
	code, _, _ := n.run("web", "monitor", web...)
	if have := n.marks(); code == 0 && have == "" || code == 7 && have != "" {
		t.Errorf("%s killed at %d (after it: %t): monitor gives %d\n%s", action, at, after, code, have)
	}
	n.must(t, 0, "web", next, web...)
	n.want(t, map[string]string{"start": running, "stop": ""}[next])
	n.must(t, 0, "web", "stop")
	n.want(t, "")
	if t.Failed() {
		t.Fatalf("%s %v, killed at operation %d (after it: %t), then %s", action, params, at, after, next)
	}
	return m.Died
}

func quiet() logrus.FieldLogger {
	log := logrus.New()
	log.Out = io.Discard
	return log
}

// ledgerFile returns the path of the ledger.
func (n node) ledgerFile(t *testing.T) string {
	t.Helper()
	files, err := filepath.Glob(n.state + "/fwmark-*[0-9]")
	if err != nil || len(files) != 1 {
		t.Fatal(fmt.Errorf("%v %w", files, err))
	}
	if _, err := os.Stat(files[0]); err != nil {
		t.Fatal(err)
	}
	return files[0]
}

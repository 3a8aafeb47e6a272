package vip

import (
	"encoding/xml"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lvs-agents/agents/vip"
	"lvs-agents/internal/kernel/kerneltest"
	"lvs-agents/metadata"
)

var update = flag.Bool("update", false, "write docs/ipaddr2.md instead of comparing it")

// rows reads a file of testdata whose fields are separated by |.
func rows(t *testing.T, file string, fields int) [][]string {
	t.Helper()
	text, err := os.ReadFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	var all [][]string
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		var row []string
		for _, field := range strings.Split(strings.TrimSuffix(line, "\n"), "|") {
			row = append(row, strings.TrimSpace(field))
		}
		if len(row) != fields {
			t.Fatalf("%s: %d fields in %q", file, len(row), line)
		}
		all = append(all, row)
	}
	return all
}

const preamble = "<!-- Written by `go test ./tests/vip -run TestTable -update`; do not edit. -->\n" + `# vip beside ocf:heartbeat:IPaddr2

This page compares ocf:lvs:vip with IPaddr2: every parameter, and the situations below.
[Migration](migration.md) describes the change from one to the other.

## Parameters

The defaults of IPaddr2 are from version 4.12 (Debian 12). If a newer version has another default, it
follows after a slash.

| parameter | IPaddr2 | vip | what differs |
|---|---|---|---|
`

const situations = `
## Situations

Exit codes of validate-all, probe, start, monitor and stop, run in this order, on a host with
192.168.144.1/24 and 2001:db8:1234::1/64 on eth0. vip's validate-all checks only the parameters, unless
OCF_CHECK_LEVEL is 10 or more.

| situation | IPaddr2 4.12 | newer | vip | vip's reason |
|---|---|---|---|---|
`

const rules = `
The rules of vip's exit codes:

* 6: no node can use the parameter. The cluster stops the resource on every node.
* 5 or 1: this node lacks something that another node can have. It is 5 for an interface or a namespace,
  and 1 for a network that holds the address. The cluster tries another node.
* Stop returns 0, unless the address is still on the interface. A probe returns 7 if nothing runs, for all
  parameters.
* Monitor returns 1 if something of the resource exists and is wrong. The cluster then stops it first. An
  address that no neighbour can reach is wrong. A recurring monitor also returns 1 if the interface of nic
  does not exist.
`

// TestTable runs vip in every situation of the page docs/ipaddr2.md. The parameters and exit codes
// on the page must be current.
func TestTable(t *testing.T) {
	var page strings.Builder
	page.WriteString(preamble)
	ours := map[string]metadata.Param{}
	for _, p := range vip.New(nil, nil).Metadata().Params {
		ours[p.Name] = p
	}
	for _, row := range rows(t, "parameters.txt", 5) {
		p, ok := ours[row[0]]
		if !ok {
			t.Errorf("vip has no parameter %s", row[0])
			continue
		}
		fmt.Fprintf(&page, "| `%s` | %s | %s | %s |\n", row[0], theirs(row[1], row[2], row[3]), described(p.Value.Type(), p.Value.String()), row[4])
	}
	page.WriteString(situations)
	for _, row := range rows(t, "ipaddr2.txt", 4) {
		got, reason := situation(t, row[1], nil)
		newer := row[3]
		if newer == row[2] {
			newer = "the same"
		}
		fmt.Fprintf(&page, "| %s | %s | %s | %s | %s |\n", row[0], row[2], newer, got, reason)
	}
	page.WriteString(rules)
	const path = "../../docs/ipaddr2.md"
	if *update {
		if err := os.WriteFile(path, []byte(page.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), page.String()); diff != "" {
		t.Errorf("docs/ipaddr2.md is not current; go test ./tests/vip -run TestTable -update (-want +got):\n%s", diff)
	}
}

func described(kind, text string) string {
	if text == "" {
		return kind
	}
	return kind + " `" + text + "`"
}

func theirs(kind, old, newer string) string {
	switch {
	case old == "-":
		return described(kind, newer) + " (newer only)"
	case newer == "-":
		return described(kind, old) + " (4.12 only)"
	case old == newer:
		return described(kind, old)
	}
	return described(kind, old) + " / `" + newer + "`"
}

// situation runs all actions in one situation on a new host. params are the parameters, and command
// is the agent, vip by default. It returns the exit codes, and the exit reason of start, or else of
// the first action that gives a reason.
func situation(t *testing.T, params string, command []string) (codes, reason string) {
	t.Helper()
	t.Run(params, func(t *testing.T) {
		kerneltest.Namespace(t)
		kerneltest.NewPeer(t, "eth0")
		kerneltest.NewPeer(t, "eth1")
		kerneltest.Run(t, "ip addr add 192.168.144.1/24 brd 192.168.144.255 dev eth0\nip addr add 2001:db8:1234::1/64 dev eth0 nodad")
		if strings.Contains(params, "ocft2") {
			params = strings.ReplaceAll(params, "ocft2", namespace(t))
		}
		a := newAgent(t)
		var list []string
		for _, step := range []string{"validate-all", "monitor", "start", "monitor recurring", "stop"} {
			action, recurring, _ := strings.Cut(step, " ")
			environ := []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "OCF_ROOT=/usr/lib/ocf", "OCF_RESOURCE_INSTANCE=table", "HA_RSCTMP=" + a.state, "LVS_AGENTS_STATE_DIR=" + a.state + "/lvs-agents", "LC_ALL=C"}
			for _, param := range strings.Fields(params) {
				environ = append(environ, "OCF_RESKEY_"+param)
			}
			if recurring != "" {
				environ = append(environ, "OCF_RESKEY_CRM_meta_interval=10000")
			}
			run := a
			if command != nil {
				run.path = command[0]
				environ = append(environ, "OCF_RESOURCE_TYPE=IPaddr2", "__OCF_ACTION="+action)
			}
			code, out := run.exec(t, environ, action)
			list = append(list, fmt.Sprint(code))
			if _, text, ok := strings.Cut(out, "ocf-exit-reason:"); ok && (reason == "" || action == "start") {
				reason = strings.TrimSpace(text)
			}
		}
		codes = strings.Join(list, " ")
	})
	return codes, reason
}

// namespace creates another network namespace with an interface eth0 and the same IPv4 address, and
// returns its name.
func namespace(t *testing.T) string {
	t.Helper()
	name := fmt.Sprintf("vip-test-%d", os.Getpid())
	kerneltest.Run(t, "ip netns add "+name)
	t.Cleanup(func() {
		if out, err := exec.Command("ip", "netns", "delete", name).CombinedOutput(); err != nil {
			t.Errorf("ip netns delete: %v: %s", err, out)
		}
	})
	inside := "nsenter --net=/run/netns/" + name + " ip " // ip -n fails if / is not a mount point, as in a chroot
	kerneltest.Run(t, inside+"link add eth0 type veth peer name far\n"+inside+"link set far up\n"+inside+"link set eth0 up\n"+
		inside+"addr add 192.168.144.1/24 brd 192.168.144.255 dev eth0")
	return name
}

// TestParametersMatchTheInstalledIPaddr2 checks that parameters.txt lists the parameters of the
// IPaddr2 on the test host.
func TestParametersMatchTheInstalledIPaddr2(t *testing.T) {
	out, err := exec.Command("env", "OCF_ROOT=/usr/lib/ocf", ipaddr2, "meta-data").Output()
	if err != nil {
		kerneltest.Need(t, fmt.Sprintf("%s: %v", ipaddr2, err))
	}
	var document struct {
		Parameters []struct {
			Name    string `xml:"name,attr"`
			Content struct {
				Type    string `xml:"type,attr"`
				Default string `xml:"default,attr"`
			} `xml:"content"`
		} `xml:"parameters>parameter"`
	}
	if err := xml.Unmarshal(out, &document); err != nil {
		t.Fatal(err)
	}
	known := map[string]string{}
	for _, row := range rows(t, "parameters.txt", 5) {
		known[row[0]] = row[1] + " " + row[2]
	}
	for _, p := range document.Parameters {
		if got, want := known[p.Name], strings.TrimSpace(p.Content.Type+" "+p.Content.Default); strings.TrimSpace(got) != want {
			t.Errorf("%s: parameters.txt has %q, IPaddr2 %q", p.Name, got, want)
		}
	}
}

const ipaddr2 = "/usr/lib/ocf/resource.d/heartbeat/IPaddr2"

// TestSoakSituationsOfIPaddr2 runs IPaddr2 in the situations of docs/ipaddr2.md. IPaddr2 must
// return the exit codes in testdata/ipaddr2.txt. The test leaves out situations that need a missing
// program or a module for CLUSTERIP.
func TestSoakSituationsOfIPaddr2(t *testing.T) {
	for _, row := range rows(t, "ipaddr2.txt", 4) {
		if strings.Contains(row[0], "without the program") || strings.Contains(row[0], "CLUSTERIP") {
			continue
		}
		if got, _ := situation(t, row[1], []string{ipaddr2}); got != row[2] {
			t.Errorf("%s: IPaddr2 gives %s, ipaddr2.txt has %s", row[0], got, row[2])
		}
	}
}

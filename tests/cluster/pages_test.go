package cluster

import (
	"context"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"lvs-agents/tests/lab"
	"lvs-agents/tests/pages"
)

// parts lists the pages whose commands TestPages runs, in this order, in one cluster. before, if
// any, prepares the cluster for the page. around, if any, calls follow, which runs the page's
// commands, and observes the service meanwhile.
var parts = []struct {
	page string
	// section is the heading of the commands. Empty means all commands of the page that no other
	// part has run.
	section string
	before  func(*testing.T, site)
	around  func(t *testing.T, s site, follow func())
}{
	{page: "docs/tutorial.md"},
	{page: "docs/howto/see-what-happens.md"},
	{page: "docs/howto/take-a-server-out.md"},
	{page: "docs/howto/change-the-file.md"},
	{page: "docs/howto/read-a-failed-monitor.md"},
	{page: "docs/howto/report-a-bug.md"},
	{page: "docs/howto/upgrade-a-pair.md"},
	{page: "docs/howto/replace-ipaddr2.md", before: classic, around: changeFromIPaddr2},
	{page: "docs/howto/replace-the-ldirectord-resource.md", around: changeOfLdirectord},
	{page: "docs/howto/replace-ldirectord.md", before: alone, around: changeOfLdirectord},
	{page: "docs/howto/from-keepalived.md", before: keepalived},
	{page: "docs/howto/from-piranha.md", before: piranha},
	{page: "docs/howto/from-heartbeat.md", before: heartbeat},
	{page: "docs/howto/from-ipvsadm.md", before: manual, around: changeFromManual},
	{page: "README.md", section: "From keepalived.conf to a pair", before: func(t *testing.T, s site) {
		// The page before ends with an address and a table that were made by hand.
		s.Node("director1").Script(t, "ip addr del 192.0.2.10/24 dev eth0; ipvsadm -C")
		keepalived(t, s)
	}},
	{page: "README.md", before: vacate},
}

// TestPages checks that the commands of the tutorial, the how-tos and the README print the output
// that the page shows. It leaves out the commands that the lab cannot run. It runs the commands on
// two directors, two real servers and a client, which have packages but no configuration at first.
func TestPages(t *testing.T) {
	lab.Require(t, "corosync", "pacemakerd", "crm", "crm_mon", "cibadmin", "nginx", "ipvsadm", "curl", "ldirectord")
	all, err := pages.All("../..")
	if err != nil {
		t.Fatal(err)
	}
	left := map[string][]pages.Step{}
	for _, page := range all {
		left[page.Name] = page.Steps
	}
	topology := lab.NewTopology(t)
	machines := lab.StartMachines(t, topology, lab.Options{Root: installed(t)})
	r := reader{topology.Host("client"), map[string]*lab.Node{}}
	for _, name := range []string{"director1", "director2", "rs1", "rs2"} {
		r.nodes[name] = machines.Node(name)
	}
	s := site{machines.Cluster(), topology}
	for _, part := range parts {
		var steps []pages.Step
		other := func(step pages.Step) bool { return part.section != "" && step.Section != part.section }
		for _, step := range left[part.page] {
			if !other(step) {
				steps = append(steps, step)
			}
		}
		left[part.page] = slices.DeleteFunc(left[part.page], func(step pages.Step) bool { return !other(step) })
		ran := t.Run(strings.TrimSpace(part.page+" "+part.section), func(t *testing.T) {
			if part.before != nil {
				part.before(t, s)
			}
			follow := func() { r.follow(t, part.page, steps) }
			if part.around == nil {
				follow()
			} else {
				part.around(t, s, follow)
			}
			s.unfailed(t)
		})
		if !ran {
			t.FailNow() // The next page needs the cluster in the state after this page, so the test ends here.
		}
	}
	for page, steps := range left {
		if len(steps) > 0 {
			t.Errorf("no part runs the commands of %s", page)
		}
	}
}

// installed returns the path of the directory that "make stage" has written.
func installed(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs("../../bin/root")
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// reader runs the commands of the pages on the hosts, as a human reader would.
type reader struct {
	client *lab.Host
	nodes  map[string]*lab.Node
}

// places lists the hosts of a prompt that names more than one host, for example "directors#".
var places = map[string][]string{"directors": {"director1", "director2"}, "rs": {"rs1", "rs2"}}

// looks matches commands that only print a state. The test repeats these commands until they print
// the output of the page, because the state can need some time.
var looks = regexp.MustCompile(`^(crm_mon|ipvsadm -[LS]|ip |lvsctl status|curl |for i in [\d ]+; do curl )`)

// reset is the command that resets a host without a shutdown. The lab boots the host again before
// its next command.
const reset = "echo b >/proc/sysrq-trigger"

// follow runs the commands of a page in their order.
func (r reader) follow(t *testing.T, page string, steps []pages.Step) {
	t.Helper()
	if len(steps) == 0 {
		t.Fatalf("%s has no commands", page)
	}
	for _, step := range steps {
		r.do(t, page, step)
	}
}

// do runs the command of a step on each host that the prompt of the step names.
func (r reader) do(t *testing.T, page string, step pages.Step) {
	t.Helper()
	if elsewhere, _ := step.Elsewhere(pages.Repository("../..")); elsewhere {
		return // TestCommandsOfRealMachines judges it
	}
	names := places[step.Host]
	if names == nil {
		names = []string{step.Host}
	}
	for _, name := range names {
		began := time.Now()
		command, _, _ := strings.Cut(step.Command, "\n")
		what := fmt.Sprintf("%s:%d: %s: %s", page, step.Line, name, command)
		out := r.run(t, what, name, step)
		t.Logf("%s: %.1f s\n%s", what, time.Since(began).Seconds(), out)
	}
}

func (r reader) run(t *testing.T, what, name string, step pages.Step) (out string) {
	t.Helper()
	if step.Command == reset {
		r.nodes[name].Kill(t)
		return ""
	}
	shell := &r.client.Shell
	if node := r.nodes[name]; node != nil {
		if !node.Running() {
			node.Restart(t)
		}
		shell = &node.Shell
	}
	try := func() (err error) {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		out, err = shell.Exec(ctx, "sh", "-c", step.Command)
		if err == nil && !step.Shows(out) {
			err = fmt.Errorf("it prints\n%sand the page has\n%s", out, strings.Join(step.Output, "\n"))
		}
		return err
	}
	if looks.MatchString(step.Command) {
		lab.Wait(t, minute, what, try)
	} else if err := try(); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	return out
}

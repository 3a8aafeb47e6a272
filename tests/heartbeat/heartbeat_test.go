// Package heartbeat tests our scripts in /etc/ha.d/resource.d, and directord as a replacement of
// ldirectord. Each test boots a pair of directors with heartbeat 3.
package heartbeat

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/google/go-cmp/cmp"

	"lvs-agents/tests/lab"
)

const (
	minute = time.Minute
	// pageTimeout is a client's time limit for one page.
	pageTimeout = 500 * time.Millisecond

	table = `-A -t 192.0.2.10:80 -s rr
-a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 1
-a -t 192.0.2.10:80 -r 192.0.2.22:80 -g -w 1
`
)

// site is a pair of directors that run heartbeat, and the network with the real servers and a
// client.
type site struct {
	*lab.Pair
	topology *lab.Topology
}

// lines returns two texts for the file haresources, both from crm/examples. ours uses our scripts.
// old uses IPaddr and ldirectord, which our scripts replace; in the example this line is a comment.
func lines(t *testing.T) (ours, old string) {
	t.Helper()
	ours = example(t, "haresources")
	for line := range strings.Lines(ours) {
		if rest, ok := strings.CutPrefix(line, "#director1 "); ok {
			old = "director1 " + rest
		}
	}
	if !strings.Contains(ours, "\ndirector1 lvsipvs::") || !strings.HasPrefix(old, "director1 IPaddr::") {
		t.Fatalf("other lines in haresources: %q, %q", ours, old)
	}
	return ours, old
}

// example returns the text of a file in crm/examples.
func example(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("../../crm/examples/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// haCf returns the file ha.cf of crm/examples with a log file and with shorter times. deadtime must
// be longer than five seconds, because a node of the lab can be busy for that long.
func haCf(t *testing.T, failback string) string {
	t.Helper()
	text := example(t, "ha.cf")
	for _, change := range [][2]string{
		{"logfacility local0", "logfile /var/log/ha-log\ndebugfile /var/log/ha-debug\nlogfacility none\nrealtime off"},
		{"keepalive 2\n", "keepalive 500ms\n"}, {"warntime 10\n", "warntime 4\n"}, {"deadtime 30\n", "deadtime 8\n"}, {"initdead 60\n", "initdead 20\n"},
		{"auto_failback on\n", "auto_failback " + failback + "\n"},
	} {
		if !strings.Contains(text, change[0]) {
			t.Fatalf("no %q in ha.cf", change[0])
		}
		text = strings.Replace(text, change[0], change[1], 1)
	}
	return text
}

// newSite boots a pair of directors with the files of crm/examples and the given haresources. more
// lists further files of /etc/ha.d. Each director also has a web server that serves the sorry page.
func newSite(t *testing.T, failback, haresources string, more map[string]string) site {
	t.Helper()
	lab.Require(t, "cl_status", "nginx", "ipvsadm", "ldirectord")
	installed, err := filepath.Abs("../../bin/root") // "make stage" has written this directory
	if err != nil {
		t.Fatal(err)
	}
	topology := lab.NewTopology(t)
	topology.StartRealServers(t, lab.VIP)
	for _, name := range []string{"director1", "director2"} {
		topology.Host(name).ServeSorry(t)
	}
	files := map[string]string{
		"ha.cf": haCf(t, failback), "authkeys": example(t, "authkeys"), "haresources": haresources, "ldirectord.cf": lab.LdirectordConfig,
	}
	for name, text := range more {
		files[name] = text
	}
	return site{lab.StartHeartbeat(t, topology, lab.Options{Root: installed}, files), topology}
}

// waitServes waits until the named director has the VIP and the whole IPVS table, and the client
// gets pages of both real servers. The other director must have neither.
func (s site) waitServes(t *testing.T, name string) {
	t.Helper()
	node, other := s.Node(name), s.Node(others[name])
	lab.Wait(t, 3*minute, name+" serves", func() error {
		if got := sorted(node.Run(t, "ipvsadm", "-Sn")); got != table {
			return errors.New("table: " + cmp.Diff(table, got))
		}
		if node.Run(t, "ip", "-o", "addr", "show", "dev", "eth0", "to", lab.VIP) == "" {
			return errors.New("no address")
		}
		return s.bothAnswer(t)
	})
	lab.Wait(t, minute, others[name]+" has released everything", func() error {
		if left := leftOn(t, other); left != "" {
			return errors.New(left)
		}
		return nil
	})
}

var others = map[string]string{"director1": "director2", "director2": "director1"}

// leftOn returns the parts of the service (VIP, IPVS table, records, daemon) that exist on a node.
// For a killed node it returns "".
func leftOn(t *testing.T, node *lab.Node) string {
	t.Helper()
	if !node.Running() {
		return ""
	}
	return node.Script(t, "ipvsadm -Sn; ip -o addr show to "+lab.VIP+"; ls /run/lvs-agents/ipvs 2>/dev/null || true; pgrep directord || true")
}

func (s site) bothAnswer(t *testing.T) error {
	t.Helper()
	var pages []string
	for range 4 {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		page, err := s.topology.Host("client").Get(ctx, "http://"+lab.VIP+"/")
		cancel()
		if err != nil {
			return err
		}
		pages = append(pages, strings.TrimSpace(page))
	}
	if !slices.Contains(pages, "rs1") || !slices.Contains(pages, "rs2") {
		return fmt.Errorf("not both: %v", pages)
	}
	return nil
}

func sorted(text string) string {
	return strings.Join(slices.Sorted(strings.Lines(text)), "")
}

// stable waits until no node is acquiring or releasing resources.
func (s site) stable(t *testing.T) {
	t.Helper()
	for _, name := range []string{"director1", "director2"} {
		node := s.Node(name)
		if !node.Running() {
			continue
		}
		lab.Wait(t, 2*minute, name+" is stable", func() error {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			out, err := node.Exec(ctx, "cl_status", "rscstatus")
			if err == nil && strings.TrimSpace(out) == "transition" {
				err = errors.New("in transition")
			}
			return err
		})
	}
}

// measured runs clients and calls happens. It waits until the director that serves names runs the
// service, and returns the results of the clients.
func (s site) measured(t *testing.T, serves string, happens func()) lab.Tally {
	t.Helper()
	load := s.topology.Host("client").Load(t, 4, lab.VIP+":80", pageTimeout)
	happens()
	s.waitServes(t, serves)
	lab.Wait(t, minute, "pages", load.Serving)
	tally := load.Stop(t)
	s.stable(t)
	return tally
}

// request runs a command of heartbeat, for example hb_standby, on a node. It waits until the
// director that until names has the VIP. A busy heartbeat ignores requests, so request repeats the
// command every 30 s.
func (s site) request(t *testing.T, node *lab.Node, command, until string) {
	t.Helper()
	var asked time.Time
	lab.Wait(t, 3*minute, command+" on "+node.Name, func() error {
		const again = 30 * time.Second
		if time.Since(asked) > again {
			node.Run(t, "/usr/share/heartbeat/"+command, "all")
			asked = time.Now()
		}
		if s.Node(until).Run(t, "ip", "-o", "addr", "show", "dev", "eth0", "to", lab.VIP) == "" {
			return errors.New("no address on " + until)
		}
		return nil
	})
}

// story runs the steps of a common how-to: start, hb_standby and hb_takeover, a kill of a director,
// and the director's restart. It returns the results of the clients for each event.
func (s site) story(t *testing.T, failback string) map[string][]lab.Tally {
	t.Helper()
	first := s.Node("director1")
	s.waitServes(t, "director1")
	s.stable(t)
	seen := map[string][]lab.Tally{}
	see := func(event, serves string, happens func()) {
		tally := s.measured(t, serves, happens)
		t.Logf("%s: %v", event, tally)
		seen[event] = append(seen[event], tally)
	}
	for range moves() {
		see("hb_standby", "director2", func() { s.request(t, first, "hb_standby", "director2") })
		see("hb_takeover", "director1", func() { s.request(t, first, "hb_takeover", "director1") })
	}
	see("node killed", "director2", func() { first.Kill(t) })
	see("node returns", map[string]string{"on": "director1", "off": "director2"}[failback], func() { s.comesBack(t, first) })
	s.unharmed(t)
	return seen
}

// comesBack boots a killed director. It waits until heartbeat on each of the two nodes reports the
// other node as active.
func (s site) comesBack(t *testing.T, node *lab.Node) {
	t.Helper()
	node.Restart(t)
	node.Host.ServeSorry(t)
	lab.Wait(t, 3*minute, node.Name+" is back", func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		for name, other := range others {
			out, err := s.Node(name).Exec(ctx, "cl_status", "nodestatus", other)
			if err != nil || strings.TrimSpace(out) != "active" {
				return fmt.Errorf("%s sees %s as %q: %w", name, other, strings.TrimSpace(out), err)
			}
		}
		return nil
	})
	s.stable(t)
}

// moves is how many times the resources move with hb_standby and hb_takeover. LAB_MOVES sets this
// number, to at most 5.
func moves() int {
	if n, err := strconv.Atoi(os.Getenv("LAB_MOVES")); err == nil {
		return min(n, 5)
	}
	return 1
}

// form is one configuration of heartbeat that TestPair tests.
type form struct {
	name, failback, haresources string
	more                        map[string]string
}

// forms returns the configurations that TestPair tests: our scripts with auto_failback on, and
// IPaddr and ldirectord with auto_failback off. With LAB_EXACT set, it returns the other two
// combinations, too, and a configuration with the Perl program ldirectord.
func forms(t *testing.T) []form {
	t.Helper()
	ours, old := lines(t)
	list := []form{
		{"lvsipvs lvshealth lvsvip with auto_failback on", "on", ours, nil},
		{"IPaddr ldirectord with auto_failback off", "off", old, nil},
	}
	if os.Getenv("LAB_EXACT") == "" {
		return list
	}
	return append(list,
		form{"lvsipvs lvshealth lvsvip with auto_failback off", "off", ours, nil},
		form{"IPaddr ldirectord with auto_failback on", "on", old, nil},
		form{peer, "on", strings.Replace(old, " ldirectord::", " perl-ldirectord::", 1), map[string]string{"resource.d/perl-ldirectord": lab.PerlLdirectord(t)}})
}

const peer = "IPaddr and the Perl ldirectord with auto_failback on"

func TestPair(t *testing.T) {
	gaps := map[string]map[string][]lab.Tally{}
	for i, form := range forms(t) {
		t.Run(form.name, func(t *testing.T) {
			s := newSite(t, form.failback, form.haresources, form.more)
			gaps[form.name] = s.story(t, form.failback)
			if i == 0 {
				s.byHand(t, s.Node("director2"))
				s.Node("director1").WriteFile(t, "/etc/ha.d/ldirectord.cf", "virtual=nonsense\n")
				s.request(t, s.Node("director1"), "hb_standby", "director2")
				s.waitServes(t, "director2")
				s.unharmed(t)
			}
		})
	}
	report(forms(t), gaps)
	if os.Getenv("LAB_EXACT") == "" || t.Failed() {
		return
	}
	for _, event := range []string{"hb_standby", "hb_takeover"} {
		if us, them := median(gaps[forms(t)[0].name][event]), median(gaps[peer][event]); us > them {
			t.Errorf("%s: %v without a page, with the Perl ldirectord %v", event, us, them)
		}
	}
}

// report prints a table with a row for each event and configuration: how long clients got no page,
// and their errors.
func report(list []form, gaps map[string]map[string][]lab.Tally) {
	fmt.Printf("longest time without a page from a real server, 4 clients with a limit of %v, deadtime 8s\n\n", pageTimeout)
	w := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "event\tresources\tmedian\trefused\treset\tsorry pages\tserved")
	for _, event := range []string{"hb_standby", "hb_takeover", "node killed", "node returns"} {
		for _, form := range list {
			var sum lab.Tally
			for _, tally := range gaps[form.name][event] {
				sum.Refused += tally.Refused
				sum.Reset += tally.Reset
				sum.Sorry += tally.Sorry
				sum.Served += tally.Served
			}
			fmt.Fprintf(w, "%s\t%s\t%v\t%d\t%d\t%d\t%d\n", event, form.name, median(gaps[form.name][event]), sum.Refused, sum.Reset, sum.Sorry, sum.Served)
		}
	}
	fmt.Fprintln(w)
	_ = w.Flush() // An error is ignored, so that the test does not fail if standard output is closed.
}

func median(tallies []lab.Tally) time.Duration {
	var gaps []time.Duration
	for _, tally := range tallies {
		gaps = append(gaps, tally.Gap.Round(time.Millisecond))
	}
	if len(gaps) == 0 {
		return 0
	}
	slices.Sort(gaps)
	return gaps[len(gaps)/2]
}

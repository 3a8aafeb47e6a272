package ipvs

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReloadChangesWeightsAndSchedulerInPlace(t *testing.T) {
	n := newNode(t)
	n.mustRun(t, 0, "web", "start", web...)
	changed := []string{"virtual=192.0.2.10:80", "real=192.0.2.21 gate 5, 192.0.2.22 gate 2", "scheduler=wrr"}
	got := n.mustRun(t, 0, "web", "reload-agent", changed...)
	const want = `INFO: ipvsadm -E -t 192.0.2.10:80 -s wrr
INFO: ipvsadm -e -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 5
`
	if diff := cmp.Diff(want, got.log); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	n.mustRun(t, 0, "web", "monitor", changed...)
	n.mustRun(t, 0, "web", "stop", changed...)
	n.wantTable(t, "")
}

func TestReloadMayReplaceServices(t *testing.T) {
	n := newNode(t)
	n.write(t, "web.cf", "virtual=192.0.2.10:80\n\treal=192.0.2.21:80 gate\n\tscheduler=rr\nvirtual=7\n\treal=192.0.2.21:80 gate\n\tscheduler=rr\n")
	n.mustRun(t, 0, "web", "start", "config=web.cf")
	n.write(t, "web.cf", "virtual=192.0.2.10:443\n\treal=192.0.2.21:443 gate\n\tscheduler=rr\n")
	// Monitor compares the kernel with the record, and does not read the changed file.
	n.mustRun(t, 0, "web", "monitor", "config=web.cf")
	n.mustRun(t, 0, "web", "reload-agent", "config=web.cf")
	n.wantTable(t, "-A -t 192.0.2.10:443 -s rr\n-a -t 192.0.2.10:443 -r 192.0.2.21:443 -g -w 1\n")
	if err := os.Remove(filepath.Join(n.config, "web.cf")); err != nil {
		t.Fatal(err)
	}
	n.mustRun(t, 0, "web", "monitor", "config=web.cf")
	n.mustRun(t, 0, "web", "stop", "config=web.cf")
	n.wantTable(t, "")
}

func TestReloadForgetsWhatItRemoved(t *testing.T) {
	n := newNode(t)
	n.write(t, "web.cf", "virtual=7\n\treal=192.0.2.21:80 gate\nvirtual=8\n\treal=192.0.2.21:80 gate\n")
	n.mustRun(t, 0, "web", "start", "config=web.cf")
	n.write(t, "web.cf", "virtual=8\n\treal=192.0.2.21:80 gate\n")
	n.mustRun(t, 0, "web", "reload-agent", "config=web.cf")
	n.set(t, "-A -f 7 -s rr") // another program has added this service
	n.mustRun(t, 0, "web", "monitor", "config=web.cf")
	n.mustRun(t, 0, "web", "stop", "config=web.cf")
	n.wantTable(t, "-A -f 7 -s rr\n")
}

// TestReloadChangesEverythingInPlace checks that reload-agent changes each setting with an edit. An
// edit breaks no connection. It deletes only the services that the parameters no longer have.
func TestReloadChangesEverythingInPlace(t *testing.T) {
	n := newNode(t)
	n.mustRun(t, 0, "web", "start", "virtual=192.0.2.10:5060/udp 5/fwm4", "real=192.0.2.21 masq 1, 192.0.2.22 gate", "scheduler=rr")
	for _, step := range []struct{ virtual, params, log string }{
		{"192.0.2.10:5060/udp 5/fwm4", "real=192.0.2.21 gue 2 port:6081 csum u:9 l:3, 192.0.2.22 gate|scheduler=mh|persistent=60|netmask=255.255.255.0|persistence_engine=sip|ops=yes", `
ipvsadm -E -u 192.0.2.10:5060 -s mh -p 60 -M 255.255.255.0 --pe sip -o -b mh-fallback
ipvsadm -E -f 5 -s mh -p 60 -M 255.255.255.0 --pe sip -o -b mh-fallback
ipvsadm -e -u 192.0.2.10:5060 -r 192.0.2.21:5060 -i -w 2 -x 9 -y 3 --tun-type gue --tun-port 6081 --tun-csum
ipvsadm -e -f 5 -r 192.0.2.21:0 -i -w 2 -x 9 -y 3 --tun-type gue --tun-port 6081 --tun-csum
`},
		{"192.0.2.10:5060/udp 192.0.2.10:5060/sctp", "real=192.0.2.21 gre 2, 192.0.2.22 gate|scheduler=rr|persistent=0", `
ipvsadm -A --sctp-service 192.0.2.10:5060 -s rr
ipvsadm -E -u 192.0.2.10:5060 -s rr
ipvsadm -a --sctp-service 192.0.2.10:5060 -r 192.0.2.21:5060 -i -w 2 --tun-type gre --tun-nocsum
ipvsadm -a --sctp-service 192.0.2.10:5060 -r 192.0.2.22:5060 -g -w 1
ipvsadm -e -u 192.0.2.10:5060 -r 192.0.2.21:5060 -i -w 2 --tun-type gre --tun-nocsum
ipvsadm -D -f 5
`},
	} {
		params := append(strings.Split(step.params, "|"), "virtual="+step.virtual)
		got := n.mustRun(t, 0, "web", "reload-agent", params...)
		var changes []string
		for line := range strings.Lines(got.log) {
			if command, found := strings.CutPrefix(line, "INFO: ipvsadm"); found {
				changes = append(changes, "ipvsadm"+command)
			}
		}
		want := strings.SplitAfter(strings.TrimPrefix(step.log, "\n"), "\n")
		slices.Sort(changes)
		slices.Sort(want)
		if diff := cmp.Diff(strings.Join(want, ""), strings.Join(changes, "")); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		n.mustRun(t, 0, "web", "monitor", params...)
	}
}

package heartbeat

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lvs-agents/tests/lab"
)

// words lists calls of the scripts in /etc/ha.d/resource.d with the arguments that heartbeat
// passes. After each action stand the expected exit code and, for status, the expected output. The
// node runs no resource.
const words = `lvsipvs away.cf: start 5, stop 0, status 3 stopped
lvsipvs broken.cf: start 2, stop 0, status 3 stopped
lvsipvs: start 6, stop 0, status 3 stopped
lvshealth away.cf: start 5, stop 0, status 3 stopped
lvshealth broken.cf: start 2, stop 0, status 3 stopped
lvsvip 192.0.2.77/24/eth9: start 5, stop 0, status 3 stopped
lvsvip 192.0.2/24/eth0: start 6, stop 0, status 3 stopped
lvsvip 2001:db8 77/64/eth0: start 6, stop 0, status 3 stopped
lvsvip 2001:db8:0:0:0:0:0:77/64/eth0: start 0, status 0 running, stop 0, status 3 stopped
lvsrs 192.0.2.77: start 0, status 0 running, stop 0, status 3 stopped
lvsrs 192.0.2.77/24: start 6, stop 0, status 3 stopped
ldirectord away.cf: stop 0
`

// answers is a shell script that makes the calls listed in words. Its output has the same form as
// words, with the actual exit codes and outputs.
const answers = `cd /etc/ha.d/resource.d
while IFS= read -r line; do
	script=${line%%:*}
	case $line in *": "*) script=${line%: *} ;; esac
	said=
	for action in $(echo "${line##*: }" | tr ', ' '\n\n' | grep -e start -e stop -e status | grep -v -e stopped -e running); do
		code=0
		out=$(/etc/ha.d/resource.d/$script $action 2>>/var/log/answers) || code=$?
		said="$said, $action $code${out:+ $out}"
		[ $action = status ] || said="${said%" $out"}"
	done
	echo "$script: ${said#, }"
done`

// byHand calls the scripts on a node that runs no resource, and compares the results with words.
func (s site) byHand(t *testing.T, node *lab.Node) {
	t.Helper()
	node.WriteFile(t, "/etc/ha.d/broken.cf", "virtual=nonsense\n")
	cmd := node.Command(t.Context(), "sh", "-ec", answers)
	cmd.Stdin = strings.NewReader(words)
	got, err := cmd.Output()
	said := node.Script(t, "cat /var/log/answers")
	if diff := cmp.Diff(words, string(got)); diff != "" || err != nil {
		t.Errorf("answers (-want +got): %s\n%v\n%s", diff, err, said)
	}
	const want = "haresources cannot hold the IPv6 address 2001:db8::77, because heartbeat splits a line at ::; write 2001:db8:0:0:0:0:0:77/64/eth0"
	if !strings.Contains(said, want) {
		t.Errorf("no %q in\n%s", want, said)
	}
}

// TestFaults checks the scripts with broken files, missing interfaces and wrong arguments. Each
// stop must still succeed, because heartbeat reboots a node after a failed stop.
func TestFaults(t *testing.T) {
	const haresources = "director1 lvsipvs::ldirectord.cf lvshealth::ldirectord.cf lvsvip::198.51.100.10/24/dummy0 lvsvip::192.0.2.10/24/eth0\n"
	s := newSite(t, "off", haresources, nil)
	first, second := s.Node("director1"), s.Node("director2")
	const dummy = "ip link add dummy0 type dummy; ip addr add 198.51.100.1/24 dev dummy0; ip link set dummy0 up"
	for _, node := range []*lab.Node{first, second} {
		node.Script(t, dummy)
	}
	s.waitServes(t, "director1")
	s.stable(t)
	t.Run("the scripts by hand", func(t *testing.T) { s.byHand(t, second) })
	t.Run("a broken file and a vanished interface do not keep the active director", func(t *testing.T) {
		first.WriteFile(t, "/etc/ha.d/ldirectord.cf", "virtual=nonsense\n")
		first.Script(t, "ip link del dummy0")
		s.request(t, first, "hb_standby", "director2")
		s.waitServes(t, "director2")
		s.stable(t)
		s.unharmed(t)
	})
	t.Run("a vanished file does not keep it either, and nobody can start", func(t *testing.T) {
		first.Script(t, dummy)
		second.Script(t, "rm /etc/ha.d/ldirectord.cf")
		first.Run(t, "/usr/share/heartbeat/hb_takeover", "all")
		lab.Wait(t, 3*minute, "director1 gives up", func() error {
			if log := first.Script(t, "cat /var/log/ha-log"); !strings.Contains(log, "Giving up resources due to failure of lvsipvs::ldirectord.cf") {
				return errors.New("not in the log")
			}
			for _, node := range []*lab.Node{first, second} {
				if left := leftOn(t, node); left != "" {
					return errors.New(node.Name + " has " + left)
				}
			}
			return nil
		})
		s.unharmed(t)
	})
	t.Run("files repaired", func(t *testing.T) {
		for _, node := range []*lab.Node{first, second} {
			node.WriteFile(t, "/etc/ha.d/ldirectord.cf", lab.LdirectordConfig)
		}
		s.request(t, first, "hb_takeover", "director1")
		s.waitServes(t, "director1")
		s.unharmed(t)
	})
	// This faulty script fails at stop, so heartbeat must reboot the node. Without this case, the
	// test could overlook reboots.
	t.Run("a script that lies is a reboot", func(t *testing.T) {
		first.Script(t, `cd /etc/ha.d; printf '#!/bin/sh\nfor action; do :; done\n[ $action != status ] || echo running\n[ $action != stop ]\n' >resource.d/liar
			chmod 755 resource.d/liar; sed -i '/^director1/s/$/ liar/' haresources`)
		first.Run(t, "/usr/share/heartbeat/hb_standby", "all")
		lab.Wait(t, 3*minute, "a reboot", func() error {
			if how := first.Rebooted(t); !strings.Contains(how, "reboot -nf") {
				return errors.New("not rebooted: " + how)
			}
			return nil
		})
	})
}

// unharmed fails the test if heartbeat tried to reboot a node, or if heartbeat does not run any
// more.
func (s site) unharmed(t *testing.T) {
	t.Helper()
	for _, name := range []string{"director1", "director2"} {
		node := s.Node(name)
		if how := node.Rebooted(t); how != "" {
			t.Errorf("%s was rebooted: %s", name, how)
		}
		node.Run(t, "cl_status", "hbstatus")
		if log := node.Script(t, "cat /var/log/ha-log"); strings.Contains(log, "Retrying failed stop operation") || strings.Contains(log, "narrowly avoided") {
			t.Errorf("%s: a stop failed", name)
		}
	}
}

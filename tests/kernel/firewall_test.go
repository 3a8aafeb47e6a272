package kernel

import (
	"context"
	"strings"
	"testing"
	"time"

	"lvs-agents/tests/lab"
)

// TestDoctorAgreesWithTheFirewall checks that lvsctl doctor reports each rule that drops packets of
// clients before IPVS. The command that doctor prints makes the service work again.
func TestDoctorAgreesWithTheFirewall(t *testing.T) {
	s := newSite(t)
	s.balance(t, "gate")
	for _, rs := range s.servers() {
		rs.must(t, 0, "realserver", "web", "start", "ip="+lab.VIP)
	}
	get := func() error {
		limited, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		_, err := s.client.Get(limited, "http://192.0.2.10/")
		return err
	}
	const what = "packets of clients to virtual service 192.0.2.10:80 are dropped\n    why: the rule iptables-legacy -t "
	for _, chain := range []string{"raw -A PREROUTING", "mangle -A INPUT", "filter -A INPUT", "security -A INPUT"} {
		t.Run(chain, func(t *testing.T) {
			table, _, _ := strings.Cut(chain, " ")
			s.director.Script(t, "iptables-legacy -t "+chain+" -p tcp --dport 80 -j DROP")
			defer s.director.Script(t, "iptables-legacy -t "+table+" -F")
			if err := get(); err == nil {
				t.Error("the client gets a page through the rule")
			}
			out := s.director.doctor(t)
			_, rest, found := strings.Cut(out, what+chain)
			_, fix, _ := strings.Cut(rest, "\n    fix: ")
			fix, _, _ = strings.Cut(fix, ", and the same in the configuration")
			if !found || fix == "" {
				t.Fatalf("the doctor does not report the rule:\n%s", out)
			}
			s.director.Script(t, fix)
			if err := get(); err != nil {
				t.Errorf("after %s: %v", fix, err)
			}
			if out := s.director.doctor(t); strings.Contains(out, what) {
				t.Errorf("after %s, the doctor prints\n%s", fix, out)
			}
		})
	}
	t.Run("after IPVS", func(t *testing.T) { s.afterIPVS(t, get) })
}

// afterIPVS checks the chain INPUT of the table nat, which has the priority 100. The chain gets
// packets for the director, and not the packets for the virtual service.
func (s site) afterIPVS(t *testing.T, get func() error) {
	// The match conntrack turns connection tracking on, which the table nat needs.
	s.director.Script(t, `iptables-legacy -t nat -A INPUT -p tcp --dport 80 -m conntrack --ctstate NEW -j ACCEPT
		iptables-legacy -t nat -A INPUT -p tcp --dport 81 -m conntrack --ctstate NEW -j ACCEPT`)
	defer s.director.Script(t, "iptables-legacy -t nat -F")
	if err := get(); err != nil {
		t.Error(err)
	}
	limited, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	if _, err := s.client.Get(limited, "http://"+lab.VIP+":81/"); err == nil {
		t.Error("port 81 has no service, and the client gets a page")
	}
	rules := s.director.Run(t, "iptables-legacy", "-t", "nat", "-vxnL", "INPUT")
	for port, want := range map[string]bool{"dpt:80": false, "dpt:81": true} {
		for line := range strings.Lines(rules) {
			if fields := strings.Fields(line); strings.Contains(line, port) && (fields[0] != "0") != want {
				t.Errorf("the chain has the packets\n%s", rules)
			}
		}
	}
}

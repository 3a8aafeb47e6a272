package keepalived

import (
	"fmt"
	"strings"
	"testing"

	"lvs-agents/internal/config"
)

// TestNothingIsLostSilently checks the problem of settings that have another meaning than their
// words seem to have.
func TestNothingIsLostSilently(t *testing.T) {
	const instance, service = "vrrp_instance a {\ninterface eth0\n", "virtual_server 192.0.2.10 80 {\nprotocol TCP\n"
	for _, tt := range []struct{ text, want string }{
		{instance + "virtual_ipaddress {\n192.0.2.10/24 label web\n}\n}\n", `keepalived.conf:4: label "web": the label of a virtual address has the name of its interface and a colon; write it as eth0:web`},
		{instance + "virtual_ipaddress {\n192.0.2.10/24\n192.0.2.10/24 label eth0:1\n}\n}\n", "keepalived.conf:5: the virtual address 192.0.2.10 is given twice; delete one of the lines"},
		{instance + "state MASTER\nnopreempt\nvirtual_ipaddress {\n192.0.2.10/24\n}\n}\n", "keepalived.conf:4: nopreempt has no effect with state MASTER; write state BACKUP on both directors"},
		{service + "retry 2\ndelay_before_retry 90\nreal_server 192.0.2.21 80 {\nTCP_CHECK {\n}\n}\n}\n", "keepalived.conf:1: delay_before_retry 90 of TCP_CHECK: a check that has failed runs again after its interval, 60s; use a shorter interval"},
		{service + "inhibit_on_failure\nreal_server 192.0.2.21 80 {\ninhibit_on_failure off\n}\nreal_server 192.0.2.22 80 {\n}\n}\n", "keepalived.conf:5: inhibit_on_failure is a setting of the whole service: each real server that is down gets weight 0"},
		{service + "real_server 192.0.2.21 80 {\nDNS_CHECK {\n}\n}\n}\n", "keepalived.conf:4: DNS_CHECK: keepalived requests the type SOA, and the check requests an address; use an external check for other records"},
	} {
		_, problems := Parse("keepalived.conf", []byte(tt.text))
		if got := fmt.Sprintln(problems); !strings.Contains(got, tt.want) {
			t.Errorf("%q:\ngot  %s\nwant %s", tt.text, got, tt.want)
		}
	}
}

// TestServersInhibitAlone checks that a service needs no warning if its real servers agree.
func TestServersInhibitAlone(t *testing.T) {
	c, problems := Parse("keepalived.conf", []byte("virtual_server 192.0.2.10 80 {\nprotocol TCP\nreal_server 192.0.2.21 80 {\ninhibit_on_failure\n}\nreal_server 192.0.2.22 80 {\ninhibit_on_failure\n}\n}\n"))
	if c == nil || !c.Services[0].Quiescent || len(problems) > 0 {
		t.Error(problems)
	}
}

// TestCommandsHideSecrets checks that no problem and no written file shows the password of a
// command.
func TestCommandsHideSecrets(t *testing.T) {
	const service = "virtual_server 192.0.2.10 80 {\nprotocol TCP\n%sreal_server 192.0.2.21 80 {\n%s}\n}\n"
	for _, tt := range []struct{ outside, inside, shown, whole string }{
		{"", "MISC_CHECK {\nmisc_path \"/bin/true -p hidden01 -q\" misc_timeout 2\n}\n", `misc_path "/bin/true -p *** -q"`, `misc_path "/bin/true -p hidden01 -q"`},
		{"", "notify_up \"/bin/true -p 'hidden01 hidden02' -q\"\n", `notify_up "/bin/true -p *** -q"`, `notify_up "/bin/true -p \"hidden01 hidden02\" -q"`},
		{"quorum_down \"/bin/true --token=hidden01\"\n", "", `quorum_down "/bin/true --token=***"`, `quorum_down "/bin/true --token=hidden01"`},
		{"quorum_up /bin/true \"-p hidden01\"\n", "", "quorum_up /bin/true\n", "quorum_up /bin/true\n"},
	} {
		c, problems := Parse("keepalived.conf", fmt.Appendf(nil, service, tt.outside, tt.inside))
		if c == nil || strings.Contains(fmt.Sprint(problems), "hidden0") {
			t.Fatal(problems)
		}
		shown, problems := Write(c, false)
		if !strings.Contains(shown, tt.shown) || strings.Contains(shown, "hidden0") || (tt.shown != tt.whole) != strings.Contains(fmt.Sprint(problems), "--secrets") {
			t.Errorf("%v\n%s", problems, shown)
		}
		if whole, _ := Write(c, true); !strings.Contains(whole, tt.whole) {
			t.Error(whole)
		}
	}
}

// TestCheckOfAnotherHostHasAPort checks that connect_ip alone leaves the port of the real server.
func TestCheckOfAnotherHostHasAPort(t *testing.T) {
	c, problems := Parse("keepalived.conf", []byte("virtual_server 192.0.2.10 80 {\nprotocol TCP\nreal_server 192.0.2.21 80 {\nTCP_CHECK {\nconnect_ip 192.0.2.9\n}\n}\n}\n"))
	if c == nil {
		t.Fatal(problems)
	}
	if check := c.Services[0].Reals[0].Checks[0]; check.Type != config.Connect || check.Port != 80 {
		t.Errorf("%+v", check)
	}
}

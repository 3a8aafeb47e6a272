package ldirectord

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"lvs-agents/internal/config"
)

func TestAgentOfABlockComesBeforeTheAgentOfTheFile(t *testing.T) {
	const text = `agent_port=9777
agent_inter=5
agent_send="web\n"
virtual=192.0.2.10:80
	real=192.0.2.21:80 masq
virtual=192.0.2.11:80
	real=192.0.2.21:80 masq
	agent_port=9778
	agent_addr=[2001:db8::99]
	agent_inter=500ms
	agent_send=other
	disable_on=404,503
	service=http
virtual=192.0.2.12:80
	real=192.0.2.21:80 masq
	agent_check=no
`
	want := []config.Agent{
		{Port: 9777, Interval: 5 * time.Second, Send: `web\n`},
		{Port: 9778, Interval: 500 * time.Millisecond, Send: "other", Addr: netip.MustParseAddr("2001:db8::99")},
		{},
	}
	cfg, problems := Parse("test.cf", []byte(text))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	written, problems := Write(cfg, true)
	if len(problems) > 0 {
		t.Error(problems)
	}
	again, problems := Parse("test.cf", []byte(written))
	if len(problems) > 0 {
		t.Fatal(problems, written)
	}
	for i := range want {
		if got := cfg.Services[i].Agent; got != want[i] {
			t.Errorf("service %d: got %+v, want %+v", i, got, want[i])
		}
		if got := again.Services[i].Agent; got != want[i] {
			t.Errorf("written and read, service %d: got %+v, want %+v\n%s", i, got, want[i], written)
		}
	}
	for i, statuses := range []string{"", "404,503", ""} {
		if got := again.Services[i].Reals[0].Checks[0].DisableOn.String(); got != statuses {
			t.Errorf("service %d: disable_on %q, want %q", i, got, statuses)
		}
	}
}

func TestFaultsOfAgents(t *testing.T) {
	for _, row := range []struct{ file, block, want string }{
		{"", "agent_port=0", `error: test.cf:3:13: agent_port "0" is not a port from 1 to 65535`},
		{"", "agent_port=9777\n\tagent_addr=web1", `error: test.cf:4:13: agent_addr "web1" is not an address; write the address, without a name and a port`},
		{"", "agent_check=yes", "warning: test.cf:3: agent_check has no effect without agent_port; add agent_port=PORT"},
		{"", "agent_check=no", ""},
		{"agent_inter=5\n", "quiescent=no", "warning: test.cf:1: agent_inter has no effect without agent_port; add agent_port=PORT"},
		{"agent_inter=5\n", "agent_port=9777", ""},
		{"", "agent_port=9777\n\tagent_inter=0", `error: test.cf:4:14: agent_inter "0" is not a number of seconds from 1 to 2678400`},
		{"", "disable_on=404\n\tchecktype=connect", "warning: test.cf:3: disable_on has an effect only for a negotiate check of http, https or http_proxy; delete the line"},
		{"", "disable_on=never", `error: test.cf:3:13: disable_on "never" has no status in "never"; write 200, 2xx or 200-299, joined by commas`},
		{"", "disable_on=404", ""},
	} {
		_, problems := Parse("test.cf", []byte(row.file+"virtual=192.0.2.10:80\n\treal=192.0.2.21:80 masq\n\t"+row.block+"\n"))
		var got []string
		for _, p := range problems {
			got = append(got, p.Severity.String()+": "+p.String())
		}
		if strings.Join(got, "\n") != row.want {
			t.Errorf("%s:\ngot  %s\nwant %s", row.block, strings.Join(got, "\n"), row.want)
		}
	}
}

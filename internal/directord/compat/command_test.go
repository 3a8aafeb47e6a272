package compat

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseCommand(t *testing.T) {
	for _, tt := range []struct {
		line, err string
		want      Command // want is the expected result. The test does not compare Words.
	}{
		{"", "", Command{Config: "ldirectord.cf", Instance: "ldirectord"}},
		{"start", "", Command{Config: "ldirectord.cf", Instance: "ldirectord", Action: "start"}},
		{"/etc/ha.d/web.cf stop", "", Command{Config: "/etc/ha.d/web.cf", Instance: "web.cf", Action: "stop"}},
		{"web stop now", "", Command{Config: "web", Instance: "web", Action: "stop"}},
		{"web.cf -d start", "", Command{Config: "web.cf", Instance: "web.cf", Action: "-d"}},
		{"-d web.cf start", "", Command{Config: "web.cf", Instance: "web.cf", Action: "start", Debug: true, Foreground: true}},
		{"--debug --foreground start", "", Command{Config: "ldirectord.cf", Instance: "ldirectord", Action: "start", Debug: true, Foreground: true}},
		{"-ft web.cf", "", Command{Config: "web.cf", Instance: "web.cf", Action: "test", Foreground: true, Test: true}},
		{"-t", "", Command{Config: "ldirectord.cf", Instance: "ldirectord", Action: "test", Test: true}},
		{"-t web.cf start", "", Command{Config: "web.cf", Instance: "web.cf", Action: "test", Test: true}},
		{"web.cf test", "", Command{Config: "web.cf", Instance: "web.cf"}},
		{"-- -f start", "", Command{Config: "-f", Instance: "-f", Action: "start"}},
		{"- start", "", Command{Config: "-", Instance: "-", Action: "start"}},
		{"-vx", "", Command{Config: "ldirectord.cf", Instance: "ldirectord", Version: true}},
		{"-? -x", "", Command{Config: "ldirectord.cf", Instance: "ldirectord", Help: true}},
		{"--help", "", Command{Config: "ldirectord.cf", Instance: "ldirectord", Help: true}},
		{"-dx start", "unknown option -dx", Command{}},
		{"--deb start", "unknown option --deb", Command{}},
		{"--d start", "unknown option --d", Command{}},
	} {
		words := append([]string{"directord"}, strings.Fields(tt.line)...)
		got, err := ParseCommand(words)
		if err != nil || tt.err != "" {
			if err == nil || err.Error() != tt.err {
				t.Errorf("%s: got %v, want %s", tt.line, err, tt.err)
			}
			continue
		}
		tt.want.Words = words
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.line, diff)
		}
	}
}

func TestPIDDir(t *testing.T) {
	for state, want := range map[string]string{
		"/run/lvs-agents":                "/run",
		"/run/lvs-agents/netns-f0000487": "/run/lvs-agents/netns-f0000487",
		"/tmp/test/state":                "/tmp/test",
	} {
		if got := PIDDir(state); got != want {
			t.Errorf("%s: got %s, want %s", state, got, want)
		}
	}
	if got, want := PIDFile("/run", "web.cf"), "/run/ldirectord.web.cf.pid"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

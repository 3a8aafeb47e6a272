package lvsrs

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lvs-agents/agents/realserver"
	"lvs-agents/internal/kernel/kerneltest"
	"lvs-agents/ocf"
)

func TestLvsrs(t *testing.T) {
	kernel, dir, state := kerneltest.NewSettings(), t.TempDir(), t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	remove := func(name string) {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	before := kernel.String()
	steps := []struct {
		name, args  string
		change      func()
		code        int
		stdout, err string
	}{
		{"nothing", "", nil, 2, "", program.Usage() + "\n"},
		{"unknown", "restart", nil, 2, "", program.Usage() + "\n"},
		{"no file", "start", nil, 1, "", "lvsrs: no file DIR/*.conf; write one with a line like ip=192.0.2.10\n"},
		{"no such file", "start web", nil, 1, "", "lvsrs: web: open DIR/web.conf: no such file or directory\n"},
		{"no name", "start ../web", nil, 1, "", "lvsrs: \"../web\" is not a name; give the name of a file in DIR without .conf\n"},
		{"bad file", "start", func() { write("web.conf", "# the shop\n\n ip = \"192.0.2.10\"\nmethod\n") }, 1, "",
			"lvsrs: web: DIR/web.conf:4: \"method\" is not name=value\n"},
		{"bad parameter", "start", func() { write("web.conf", "ip=192.0.2\n") }, 6, "",
			"lvsrs: web: ERROR: parameter ip=\"192.0.2\": \"192.0.2\" is not an IPv4 or IPv6 address\n"},
		{"not running", "status", func() { write("web.conf", "ip = \"192.0.2.10\"\n") }, 3, "web: stopped\n", ""},
		{"start", "start", nil, 0, "web: started\n", "lvsrs: web: INFO: sysctl -w net.ipv4.conf.all.arp_ignore=1\nlvsrs: web: INFO: sysctl -w net.ipv4.conf.all.arp_announce=2\nlvsrs: web: INFO: ip addr add 192.0.2.10/32 dev lo\n"},
		{"a second one", "start", func() { write("mail.conf", "ip=192.0.2.9\n") }, 0, "mail: started\nweb: started\n", "lvsrs: mail: INFO: ip addr add 192.0.2.9/32 dev lo\n"},
		{"status of all", "status", nil, 0, "mail: running\nweb: running\n", ""},
		{"stop one", "stop mail", nil, 0, "mail: stopped\n", "lvsrs: mail: INFO: ip addr del 192.0.2.9/32 dev lo\n"},
		{"status of both", "status mail web", nil, 3, "mail: stopped\nweb: running\n", ""},
		{"stop without a file", "stop web", func() { remove("web.conf") }, 0, "web: stopped\n", "lvsrs: web: INFO: ip addr del 192.0.2.10/32 dev lo\nlvsrs: web: INFO: sysctl -w net.ipv4.conf.all.arp_announce=0\nlvsrs: web: INFO: sysctl -w net.ipv4.conf.all.arp_ignore=0\n"},
	}
	for _, step := range steps {
		if step.change != nil {
			step.change()
		}
		var stdout, stderr bytes.Buffer
		code := Command{
			Process: ocf.Process{Root: true, StateDir: state, Stdout: &stdout, Stderr: &stderr, Supersede: true},
			Agent:   func() ocf.Agent { return realserver.New(kernel, nil) }, Dir: dir,
		}.Run(strings.Fields(step.args))
		if want := strings.ReplaceAll(step.err, "DIR", dir); code != step.code || stdout.String() != step.stdout || stderr.String() != want {
			t.Errorf("%s: lvsrs %s: got %d\n%s%s\nwant %d\n%s%s", step.name, step.args, code, &stdout, &stderr, step.code, step.stdout, want)
		}
	}
	if after := kernel.String(); after != before {
		t.Errorf("before:\n%safter:\n%s", before, after)
	}
}

func TestHeartbeatPutsTheActionLast(t *testing.T) {
	for line, want := range map[string]bool{
		"": false, "start": false, "start web": false, "status web mail": false, "web": false, "restart": false,
		"192.0.2.10 start": true, "192.0.2.10 forward=ipip status": true,
	} {
		if got := ByHeartbeat(strings.Fields(line)); got != want {
			t.Errorf("lvsrs %s: got %t, want %t", line, got, want)
		}
	}
}

package ldirectord

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lvs-agents/ocf"
	"lvs-agents/tests/lab"
)

// TestDeadMount checks the actions of our programs while the file system of the configuration file
// does not respond. stop must end the daemon, because stop needs only the name of the file. Every
// other action must return within its time limit.
func TestDeadMount(t *testing.T) {
	lab.Require(t, "ipvsadm")
	w := newWorld(t, tutorial, "testdata/"+tutorial+".cf")
	text, err := os.ReadFile(w.config)
	if err != nil {
		t.Fatal(err)
	}
	w.config = filepath.Join(w.dir, "dead", "web.cf")
	if err := os.Mkdir(filepath.Dir(w.config), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(w.config, append([]byte("autoreload=yes\n"), text...), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.run(t, 0, program(t), w.config, "stop") })
	w.run(t, 0, program(t), w.config, "start")
	w.expect(t, "started", web+web1+web2)
	lab.DeadMount(t, filepath.Dir(w.config))
	bin := filepath.Dir(program(t))
	// Each agent gets its own mount. Agents read the file in a thread of their own process, and two
	// threads that wait for one mount cannot always be ended (disk.Reader).
	agent := func(name, action string) []string {
		file := filepath.Join(w.dir, name+action, "web.cf")
		if err := os.Mkdir(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		lab.DeadMount(t, filepath.Dir(file))
		return []string{"env", "OCF_ROOT=/usr/lib/ocf", "OCF_RESOURCE_INSTANCE=other", "OCF_RESKEY_CRM_meta_timeout=60000", "OCF_RESKEY_config=" + file, bin + "/" + name, action}
	}
	// Earlier versions kept state in the directory HA_RSCTMP. A stop must not wait for this
	// directory.
	tmp := filepath.Join(w.dir, "tmp")
	if err := os.Mkdir(tmp, 0o755); err != nil {
		t.Fatal(err)
	}
	lab.DeadMount(t, tmp)
	const refused = ": the file system does not answer; repair or unmount it"
	silent := w.config + refused
	tests := []struct {
		code  int
		words []string
		want  string
	}{
		{0, []string{program(t), w.config, "status"}, "ldirectord for " + w.config + " is running with pid"},
		{2, []string{program(t), w.config, "start"}, "directord: " + silent},
		{2, []string{program(t), w.config, "reload"}, "directord: " + silent},
		{2, []string{program(t), "-t", w.config}, "directord: " + silent},
		{1, []string{bin + "/lvsctl", "check", w.config}, "lvsctl: " + silent},
		{1, []string{bin + "/lvsctl", "plan", w.config}, "lvsctl: " + silent},
		{0, []string{bin + "/lvsctl", "status"}, ""},
		{1, agent("ipvs", "start"), "parameter config: " + w.dir + "/ipvsstart/web.cf" + refused},
		{1, agent("ipvs", "validate-all"), "parameter config: " + w.dir + "/ipvsvalidate-all/web.cf" + refused},
		{0, agent("ipvs", "stop"), ""},
		{1, agent("health", "start"), "parameter config: " + w.dir + "/healthstart/web.cf" + refused},
		{1, agent("health", "validate-all"), "parameter config: " + w.dir + "/healthvalidate-all/web.cf" + refused},
		{0, agent("health", "stop"), ""},
		{0, []string{"env", "-u", ocf.StateDirVariable, "OCF_ROOT=/usr/lib/ocf", "OCF_RESOURCE_INSTANCE=other", "OCF_RESKEY_CRM_meta_timeout=20000", "OCF_RESKEY_ip=192.0.2.99", "HA_RSCTMP=" + tmp, bin + "/vip", "stop"},
			"state of an earlier version in " + tmp + "/lvs-agents" + refused},
	}
	outputs, commands := make([]bytes.Buffer, len(tests)), make([]*exec.Cmd, len(tests))
	for i, tt := range tests { // the commands run concurrently, because each one takes some seconds
		commands[i] = w.command(tt.words[0], tt.words[1:]...)
		commands[i].Stdout, commands[i].Stderr = &outputs[i], &outputs[i]
		commands[i].WaitDelay = 2 * time.Second
		if err := commands[i].Start(); err != nil {
			t.Fatal(err)
		}
	}
	for i, tt := range tests {
		_ = commands[i].Wait() // The test compares the exit code below.
		if code, out := commands[i].ProcessState.ExitCode(), outputs[i].String(); code != tt.code || !strings.Contains(out, tt.want) {
			t.Errorf("%q: got %d, %s, want %d, %s", tt.words, code, out, tt.code, tt.want)
		}
	}
	w.down(t, 21) // the daemon cannot read its file, but its checks must continue
	w.expect(t, "a server is down", web+web2)
	began := time.Now()
	w.run(t, 0, program(t), w.config, "stop")
	t.Logf("stop took %v", time.Since(began))
	w.expect(t, "stopped", "")
	w.run(t, 3, program(t), w.config, "status")
}

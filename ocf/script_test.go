package ocf

import (
	"bytes"
	"errors"
	"io/fs"
	"strings"
	"testing"
)

// owned reports whether heartbeat's ResourceManager (3.0.6, we_own_resource) reads the output of
// status as running.
func owned(output string) bool {
	low := strings.ToLower(output)
	if strings.Contains(low, "not running") {
		return false
	}
	return strings.Contains(output, "running") || strings.Contains(output, "Running") || strings.Contains(output, "OK")
}

func TestScript(t *testing.T) {
	const usage = "usage: lvsthing [ip/count [NAME=VALUE]...] start|stop|status\nA script for /etc/ha.d/haresources, where it is written lvsthing::ip/count\n"
	tests := []struct {
		// The line is how heartbeat calls the script, after the path of the script.
		name, line string
		agent      thing
		code       int
		stdout     string
		stderr     string
	}{
		{"start", "192.0.2.10/3 start", thing{}, 0, "", ""},
		{"start of what runs", "192.0.2.10 start", thing{running: true}, 0, "", ""},
		{"start that fails", "192.0.2.10 start", thing{start: errors.New("no link")}, 1, "", "lvsthing::192.0.2.10: ERROR: no link\n"},
		{"start without what the node needs", "192.0.2.10 start", thing{start: Lacking(errors.New("no eth1"))}, 5, "", "lvsthing::192.0.2.10: ERROR: no eth1\n"},
		{"start without rights", "192.0.2.10 start", thing{start: fs.ErrPermission}, 4, "", "lvsthing::192.0.2.10: ERROR: permission denied\n"},
		{"start with a bad value", "192.0.2.10/many start", thing{}, 6, "", "lvsthing::192.0.2.10/many: ERROR: parameter count=\"many\": not a whole number from 1 to 9\n"},
		{"start without arguments", "start", thing{}, 6, "", "lvsthing: ERROR: parameter ip is required\n"},
		{"start with a torn address", "2001:db8 10/3 start", thing{}, 6, "", "lvsthing::2001:db8::10/3: ERROR: haresources cannot hold the IPv6 address 2001:db8::10, because heartbeat splits a line at ::; write 2001:db8:0:0:0:0:0:10/3\n"},
		{"stop", "192.0.2.10 stop", thing{running: true}, 0, "", ""},
		{"stop of what is stopped", "192.0.2.10 stop", thing{}, 0, "", ""},
		{"stop that fails", "192.0.2.10 stop", thing{running: true, stop: errors.New("device busy")}, 1, "", "lvsthing::192.0.2.10: ERROR: device busy\n"},
		{"stop with a bad value", "192.0.2.10/many stop", thing{}, 0, "", ""},
		{"stop without arguments", "stop", thing{}, 0, "", ""},
		{"stop with a torn address", "2001:db8 10/3 stop", thing{}, 0, "", ""},
		{"stop with too many arguments", "192.0.2.10 24 eth0 stop", thing{}, 0, "", ""},
		{"status of what runs", "192.0.2.10 status", thing{running: true}, 0, "running\n", ""},
		{"status of what is stopped", "192.0.2.10 status", thing{}, 3, "stopped\n", ""},
		{"status of what is half there", "192.0.2.10 status", thing{status: &Status{State: Failed, Reason: "the daemon is running without its table: OK?"}}, 1, "failed\n",
			"lvsthing::192.0.2.10: ERROR: the daemon is running without its table: OK?\n"},
		{"status of what is degraded", "192.0.2.10 status", thing{status: &Status{State: Degraded, Reason: "one of two"}}, 0, "running\n", ""},
		{"status that cannot look", "192.0.2.10 status", thing{look: fs.ErrPermission}, 4, "failed\n", "lvsthing::192.0.2.10: ERROR: permission denied\n"},
		{"status with a torn address", "2001:db8 10/3 status", thing{}, 3, "stopped\n", ""},
		{"no action", "192.0.2.10", thing{}, 2, "", usage},
		{"nothing", "", thing{}, 2, "", usage},
		{"an OCF action", "192.0.2.10 monitor", thing{}, 2, "", usage},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			running := tt.agent.running || tt.agent.status != nil && tt.agent.status.State == Degraded
			code := script(Process{
				Args:   append([]string{"/etc/ha.d/resource.d/lvsthing"}, strings.Fields(tt.line)...),
				Stdout: &stdout, Stderr: &stderr, Root: true, StateDir: t.TempDir(),
			}, &tt.agent)
			if code != tt.code || stdout.String() != tt.stdout || stderr.String() != tt.stderr {
				t.Errorf("got %d, %q\n%s\nwant %d, %q\n%s", code, &stdout, &stderr, tt.code, tt.stdout, tt.stderr)
			}
			if strings.HasSuffix(tt.line, "status") && owned(stdout.String()) != running {
				t.Errorf("heartbeat takes %q for running: %t", &stdout, !running)
			}
		})
	}
}

func TestScriptPassesArguments(t *testing.T) {
	agent := thing{}
	code := script(Process{
		Args:   []string{"lvsthing", "192.0.2.10/3", "ip=192.0.2.11", "start"},
		Stdout: new(bytes.Buffer), Stderr: new(bytes.Buffer), Root: true, StateDir: t.TempDir(),
	}, &agent)
	if code != 0 || agent.IP != "192.0.2.11" || agent.Count != 3 || agent.call.Instance != "lvsthing::192.0.2.10/3::ip=192.0.2.11" {
		t.Errorf("got %d, %+v", code, &agent)
	}
}

func TestScriptsAreKnownByTheirNames(t *testing.T) {
	for path, want := range map[string]bool{
		"/etc/ha.d/resource.d/lvsvip": true, "lvshealth": true, "/usr/lib/ocf/resource.d/lvs/vip": false, "./ipvs": false,
	} {
		if got := isScript([]string{path}); got != want {
			t.Errorf("%s: got %t, want %t", path, got, want)
		}
	}
	if isScript(nil) {
		t.Error("no name is none of a script")
	}
}

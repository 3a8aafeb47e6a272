package health

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lvs-agents/tests/lab"
)

// TestBadInput makes the configuration file of a running daemon unusable. The status and the log
// must name the unusable parts, and the daemon must continue with its earlier configuration.
func TestBadInput(t *testing.T) {
	d := newDirector(t, "yes")
	good := d.story("yes")
	config := "config=" + d.config
	d.agent(t, 0, "ipvs", "web-ipvs", "start", config)
	d.agent(t, 0, "health", "web-health", "start", config)
	d.WaitTable(t, 10*time.Second, service+rs1+rs2)
	for _, tt := range []struct{ name, old, text, want string }{
		{"an error", "scheduler=rr", "scheduler=rrr", d.config + `:13:13: unknown scheduler "rrr"`},
		{"a name that nobody knows", "real=192.0.2.21:80", "real=rs1.invalid:80", d.config + ":7: real server rs1.invalid"},
		{"nothing", good, "# empty", d.config + " has no virtual service; add virtual=ADDRESS:PORT"},
		{"a scheduler that the kernel lacks", "scheduler=rr", "scheduler=twos", `scheduler "twos" is not available: kernel `},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d.write(t, strings.Replace(good, tt.old, tt.text, 1))
			d.says(t, tt.want)
			d.WaitTable(t, 0, service+rs1+rs2)
			d.write(t, good)
			lab.Wait(t, 20*time.Second, "the end of the trouble", func() error {
				if out := d.status(t); strings.Contains(out, "trouble") {
					return errors.New(out)
				}
				return nil
			})
		})
	}
	t.Run("no web server", func(t *testing.T) {
		d.write(t, strings.Replace(good, "checkport=80", "checkport=81", 1))
		d.says(t, "connect to 192.0.2.21:81: connection refused")
		d.WaitTable(t, 10*time.Second, service+fallback+rs1out+rs2out)
	})
	d.agent(t, 0, "health", "web-health", "stop", config)
	d.agent(t, 0, "ipvs", "web-ipvs", "stop", config)
	t.Run("a start with a name that nobody knows", func(t *testing.T) {
		d.write(t, strings.Replace(good, "real=192.0.2.21:80", "real=rs1.invalid:80", 1))
		d.directord(t, 0, "start")
		d.WaitTable(t, 10*time.Second, service+rs2)
		d.directord(t, 0, "stop")
	})
	t.Run("a start with such names only", func(t *testing.T) {
		only := strings.NewReplacer("real=192.0.2.21:80", "real=rs1.invalid:80", "real=192.0.2.22:80", "real=rs2.invalid:80")
		d.write(t, only.Replace(good))
		if out := d.directord(t, 1, "start"); !strings.Contains(out, d.config+":7: real server rs1.invalid") {
			t.Error(out)
		}
	})
	t.Run("a start with an expression that cannot be used", func(t *testing.T) {
		bad := "virtual=192.0.2.11:80\n\treal=192.0.2.21:80 gate\n\tscheduler=rr\n\treceive=\"(*SKIP)\"\n\tquiescent=no\n\tfallback=127.0.0.1:80 gate\n"
		d.write(t, good+bad)
		if out := d.directord(t, 0, "start"); !strings.Contains(out, "(*SKIP) is not understood at character 1, so its real servers are never up") {
			t.Error(out)
		}
		d.WaitTable(t, 10*time.Second, service+"-A -t 192.0.2.11:80 -s rr\n"+rs1+rs2+"-a -t 192.0.2.11:80 -r 127.0.0.1:80 -g -w 1\n")
		lab.Wait(t, 30*time.Second, "the reason", func() error { // the daemon logs the reason together with its first verdict
			if out := d.status(t); !strings.Contains(out, `receive "(*SKIP)" cannot be used`) {
				return errors.New(out)
			}
			return nil
		})
		d.directord(t, 0, "stop")
	})
}

func (d director) status(t *testing.T) string {
	t.Helper()
	_, out := d.run(t, nil, filepath.Join(d.bin, "lvsctl"), "status")
	return out
}

// says waits until both the output of "lvsctl status" and the log contain the text want.
func (d director) says(t *testing.T, want string) {
	t.Helper()
	lab.Wait(t, 30*time.Second, want, func() error {
		if out := d.status(t); !strings.Contains(out, want) {
			return errors.New("status: " + out)
		}
		if log := d.logText(); !strings.Contains(log, want) {
			return errors.New("log: " + log)
		}
		return nil
	})
}

// TestPasswordIsNowhere checks that a password of the configuration file appears in no output: not
// in messages of agents and tools, not in /proc, and not in the daemon's log and state files.
func TestPasswordIsNowhere(t *testing.T) {
	const secret = "hunter2"
	d := newDirector(t, "yes")
	text := strings.Replace(d.story("yes"), "service=http", "service=mysql\n\tlogin=checker\n\tpasswd="+secret+"\n\tdatabase=web", 1)
	d.write(t, text)
	config := "config=" + d.config
	seen := d.agent(t, 0, "ipvs", "web-ipvs", "start", config)
	seen += d.agent(t, 0, "health", "web-health", "start", config)
	d.write(t, strings.Replace(text, "scheduler=rr", "scheduler=rrr", 1))
	d.says(t, "unknown scheduler")
	for _, args := range [][]string{{"status"}, {"status", "--json"}, {"check", d.config}, {"plan", d.config}} {
		_, out := d.run(t, nil, filepath.Join(d.bin, "lvsctl"), args...)
		seen += out
	}
	for _, file := range []string{"cmdline", "environ"} {
		raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", d.pid(), file))
		if err != nil {
			t.Fatal(err)
		}
		seen += strings.ReplaceAll(string(raw), "\x00", " ")
	}
	err := filepath.WalkDir(d.state, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() || path == d.config {
			return err
		}
		raw, err := os.ReadFile(path)
		seen += path + string(raw)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(seen, "has changed on disk") || !strings.Contains(seen, "# lvs-agents record") || !strings.Contains(seen, "--id=web-health") {
		t.Errorf("a source is missing:\n%s", seen)
	}
	if strings.Contains(seen, secret) {
		t.Errorf("the password is in:\n%s", seen)
	}
	seen = d.agent(t, 0, "health", "web-health", "monitor", config)
	seen += d.agent(t, 2, "health", "other", "start", config)
	seen += d.agent(t, 0, "health", "web-health", "stop", config)
	seen += d.agent(t, 0, "ipvs", "web-ipvs", "stop", config)
	if strings.Contains(seen, secret) {
		t.Errorf("the password is in:\n%s", seen)
	}
}

// TestDaemonWithoutItsStateDirectory removes the state directory of a running daemon, and starts a
// second daemon. The first daemon must exit on its own. It must not change the IPVS table or stop
// the second daemon.
func TestDaemonWithoutItsStateDirectory(t *testing.T) {
	d := newDirector(t, "yes")
	d.directord(t, 0, "start")
	d.WaitTable(t, 10*time.Second, service+rs1+rs2)
	lost := d.pid()
	// The daemon still writes into the directory, which RemoveAll would find "not empty".
	if err := os.Rename(filepath.Join(d.state, "lvs-agents"), filepath.Join(t.TempDir(), "lost")); err != nil {
		t.Fatal(err)
	}
	d.directord(t, 0, "start")
	lab.Wait(t, 30*time.Second, "end of the first daemon", func() error {
		if _, err := os.Stat(fmt.Sprintf("/proc/%d/exe", lost)); err == nil {
			return fmt.Errorf("process %d still runs", lost)
		}
		return nil
	})
	if log := d.logText(); !strings.Contains(log, "the pid file was removed or replaced; start again") {
		t.Error(log)
	}
	d.WaitTable(t, 0, service+rs1+rs2)
	if out := d.status(t); !strings.Contains(out, fmt.Sprintf("process %d,", d.pid())) {
		t.Error(out)
	}
	d.directord(t, 0, "stop")
	d.WaitTable(t, 0, "")
}

package directord

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"lvs-agents/internal/control"
	"lvs-agents/internal/directord/compat"
	"lvs-agents/internal/disk"
	"lvs-agents/internal/kernel/kerneltest"
	"lvs-agents/internal/state/pidfile"
)

// testSystem returns a System with a fake kernel and one directory for all pid files.
func testSystem(pidDir, stateDir string, out io.Writer) System {
	return System{
		Stdout: out, Stderr: out, StateDir: stateDir, PIDDir: pidDir, PerlPIDDir: pidDir, Self: "/bin/false", Version: "1.2.3",
		Files: new(disk.Reader), Resolver: net.DefaultResolver, Kernel: kerneltest.NewIPVS(), Environ: os.Environ(),
	}
}

// TestCommandLine checks command lines that start no daemon.
func TestCommandLine(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"good.cf":                  "virtual=192.0.2.10:80\n\treal=192.0.2.21 gate\n",
		"regexp.cf":                "virtual=192.0.2.10:80\n\treceive=\"(\"\n",
		"partly.cf":                "virtual=192.0.2.10:80\n\treceive=\"(*SKIP)\"\n\treal=192.0.2.21 gate\nvirtual=192.0.2.11:80\n\treal=192.0.2.21 gate\n",
		"names.cf":                 "virtual=192.0.2.10:80\n\treal=localhost:80 gate\n\treal=127.0.0.1:www gate 3\n",
		"killed.cf":                "virtual=192.0.2.10:80\n",
		"ldirectord.killed.cf.pid": "4194300\n",
		"bad.cf":                   "virtual=192.0.2.10:80\n\treal=192.0.2.21 gate\n\tpasswd=hunter2 hunter2\n\tscheduler=wrrr\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	state := filepath.Join(dir, "state")
	stale := filepath.Join(state, "directord", "stale.pid")
	if err := os.MkdirAll(filepath.Dir(stale), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(stale, []byte("4194300\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "stale.cf"), []byte("virtual=192.0.2.10:80\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	bad := filepath.Join(dir, "bad.cf")
	good := filepath.Join(dir, "good.cf")
	badFile := "directord: " + bad + `:4:12: unknown scheduler "wrrr"; did you mean "wrr"?` + "\n"
	tests := []struct {
		name, args string
		code       int
		out        string // out is the output to stdout and stderr together.
	}{
		{"nothing", "", 255, compat.Program.Usage() + "\n"},
		{"unknown action", good + " dance", 255, compat.Program.Usage() + "\n"},
		{"unknown option", "-x start", 255, "directord: unknown option -x\n" + compat.Program.Usage() + "\n"},
		{"unknown long option", "--dance start", 255, "directord: unknown option --dance\n" + compat.Program.Usage() + "\n"},
		{"help", "--help", 0, compat.Program.Usage() + "\n"},
		{"version", "-v", 0, "directord 1.2.3\n"},
		{"status", good + " status", 3, "ldirectord is stopped for " + good + "\n"},
		{"status of a stale pid file", dir + "/stale.cf status", 1, "ldirectord stale pid file " + stale + " for " + dir + "/stale.cf\nldirectord is stopped for " + dir + "/stale.cf\n"},
		{"reload of nothing", good + " reload", 1, "directord: ldirectord is stopped for " + good + "\n"},
		{"try-restart of nothing", good + " try-restart", 0, ""},
		{"test", "-t " + good, 0, good + " can be used: 1 virtual services\n"},
		{"test with an action", "-t " + good + " start", 0, good + " can be used: 1 virtual services\n"},
		{"test of a bad file", "--test " + bad, 2, "warning: " + bad + ":3:9: no quotes around the value; write passwd=\"***\"\nwarning: " + bad + ":3: passwd has no effect with service=http; write both into a URL in request\nerror: " + bad + `:4:12: unknown scheduler "wrrr"; did you mean "wrr"?` + "\n"},
		{"test is no action", good + " test", 255, compat.Program.Usage() + "\n"},
		{"test of a bad regular expression", "-t " + dir + "/regexp.cf", 2, "error: " + dir + `/regexp.cf:2:10: receive "(" cannot be used: no closing parenthesis at character 1, so its real servers are never up` + "\n"},
		{"start of a bad regular expression", dir + "/regexp.cf start", 2, "directord: " + dir + `/regexp.cf:2:10: receive "(" cannot be used: no closing parenthesis at character 1, so its real servers are never up` + "\n"},
		{"test of a file of which something can be used", "-t " + dir + "/partly.cf", 2, "error: " + dir + `/partly.cf:2:10: receive "(*SKIP)" cannot be used: (*SKIP) is not understood at character 1, so its real servers are never up; write the expression without it` + "\n"},
		{"reload of such a file", dir + "/partly.cf reload", 1, "directord: " + dir + `/partly.cf:2:10: receive "(*SKIP)" cannot be used: (*SKIP) is not understood at character 1, so its real servers are never up; write the expression without it` +
			"\ndirectord: ldirectord is stopped for " + dir + "/partly.cf\n"},
		{"status of such a file", dir + "/partly.cf status", 3, "ldirectord is stopped for " + dir + "/partly.cf\n"},
		{"test of two names of one address", "-t " + dir + "/names.cf", 0, "warning: " + dir + "/names.cf:3: real server 127.0.0.1:80 is given twice, first in line 2 with other values; the last one counts; delete one of them\n" +
			dir + "/names.cf can be used: 1 virtual services\n"},
		{"status of a bad file", bad + " status", 3, badFile + "ldirectord is stopped for " + bad + "\n"},
		{"reload of a bad file", bad + " reload", 1, badFile + "directord: ldirectord is stopped for " + bad + "\n"},
		{"restart of a bad file", bad + " restart", 2, badFile},
		{"try-restart of a bad file", bad + " try-restart", 0, badFile},
		{"status of no file", dir + "/none.cf status", 1, "directord: " + dir + "/none.cf: file does not exist\n"},
		{"restart of no file", dir + "/none.cf restart", 1, "directord: " + dir + "/none.cf: file does not exist\n"},
		{"status after a daemon that was killed", dir + "/killed.cf status", 1, "ldirectord stale pid file " + dir + "/ldirectord.killed.cf.pid for " + dir + "/killed.cf\nldirectord is stopped for " + dir + "/killed.cf\n"},
		{"extra words", good + " status please", 3, "ldirectord is stopped for " + good + "\n"},
		{"an option behind", good + " -d status", 255, compat.Program.Usage() + "\n"},
		{"a part of an option", "--deb status", 255, "directord: unknown option --deb\n" + compat.Program.Usage() + "\n"},
		{"end of options", "-- " + good + " status", 3, "ldirectord is stopped for " + good + "\n"},
		{"several short options", "-tv", 0, "directord 1.2.3\n"},
		{"no such file", dir + "/none.cf start", 1, "directord: " + dir + "/none.cf: file does not exist\n"},
		{"bad file", bad + " start", 2, "directord: " + bad + `:4:12: unknown scheduler "wrrr"; did you mean "wrr"?` + "\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out strings.Builder
			code := Run(t.Context(), append([]string{"directord"}, strings.Fields(tt.args)...), testSystem(dir, state, &out))
			if code != tt.code || out.String() != tt.out {
				t.Errorf("exit code %d, want %d\ngot  %s\nwant %s", code, tt.code, out.String(), tt.out)
			}
			if strings.Contains(out.String(), "hunter2") {
				t.Error("a secret")
			}
		})
	}
}

func TestStatusOfADaemonThatDoesNotBalance(t *testing.T) {
	dir := t.TempDir()
	state, file := filepath.Join(dir, "state"), filepath.Join(dir, "good.cf")
	if err := os.WriteFile(file, []byte("virtual=192.0.2.10:80\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	identity, err := pidfile.Acquire(control.PIDFile(state, "good"))
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	status := func() int {
		out.Reset()
		return Run(t.Context(), []string{"directord", file, "status"}, testSystem(dir, state, &out))
	}
	if code, want := status(), fmt.Sprintf("ldirectord for %s is running with pid: %d\n", file, os.Getpid()); code != 0 || out.String() != want {
		t.Errorf("%d: %s", code, out.String())
	}
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(control.PIDFile(state, "good"), old, old); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("ldirectord for %s with pid %d does not balance: open %s/directord/good.beat: no such file or directory\n", file, os.Getpid(), state)
	if code := status(); code != 1 || out.String() != want {
		t.Errorf("%d: %s", code, out.String())
	}
	if err := identity.Release(); err != nil {
		t.Fatal(err)
	}
	if code := status(); code != 3 {
		t.Errorf("%d: %s", code, out.String())
	}
}

// TestReloadThatComesTooSoon checks that a SIGHUP before the start of the daemon's loops does not
// end the process.
func TestReloadThatComesTooSoon(t *testing.T) {
	if code := serve(t.Context(), nil, testSystem(t.TempDir(), t.TempDir(), io.Discard)); code != compat.ExitUsage {
		t.Errorf("exit code %d", code)
	}
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Error(err)
	}
}

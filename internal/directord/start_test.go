package directord

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"lvs-agents/internal/control"
	"lvs-agents/internal/directord/compat"
	"lvs-agents/internal/state/pidfile"
)

// own makes the program start the test binary as the daemon. TestMain runs the daemon.
func (s *site) own() {
	s.t.Helper()
	self, err := os.Executable()
	if err != nil {
		s.t.Fatal(err)
	}
	s.sys.Self = self
	s.t.Cleanup(func() { s.run("stop") })
}

// pid returns the pid of a running daemon, or 0 if the daemon does not run.
func (s *site) pid(id string) int {
	status, err := pidfile.StatusOf(control.PIDFile(s.dir, id))
	if err != nil || !status.Running {
		return 0
	}
	return status.PID
}

// TestActions checks the actions of an init script. The daemon runs in another process.
func TestActions(t *testing.T) {
	s := newSite(t)
	s.own()
	s.write(s.service("192.0.2.10:80", "127.0.0.1"))
	act := func(action string, code int, out string) {
		t.Helper()
		if got, text := s.run(action); got != code || text != out {
			t.Errorf("%s: got %d %s\nwant %d %s", action, got, text, code, out)
		}
	}
	act("try-restart", 0, "")
	act("start", 0, "")
	first := s.pid("web")
	if first == 0 || first == os.Getpid() {
		t.Fatalf("the daemon has pid %d", first)
	}
	act("status", 0, compat.Running(s.cf, first)+"\n")
	act("start", 0, "")
	act("reload", 0, "")
	s.waitLog("Reloading Linux Director Daemon config on signal\n")
	act("restart", 0, "")
	second := s.pid("web")
	act("try-restart", 0, "")
	third := s.pid("web")
	if second == first || third == second || third == 0 {
		t.Errorf("pids %d, %d, %d", first, second, third)
	}
	act("stop", 0, "")
	act("status", 3, compat.Stopped(s.cf)+"\n")
	act("stop", 0, "")
	if s.read("ldirectord.web.cf.pid") != "" {
		t.Error("the pid file is left")
	}
	invoked := regexp.MustCompile(`Invoking ldirectord invoked as: directord \S+ (\S+) `).FindAllStringSubmatch(s.read("log"), -1)
	var actions []string
	for _, match := range invoked {
		actions = append(actions, match[1])
	}
	if got, want := strings.Join(actions, " "), "start reload restart restart try-restart try-restart stop"; got != want {
		t.Errorf("logged: got %s, want %s", got, want)
	}
}

// TestStartThatFails checks that a start that fails prints the reason.
func TestStartThatFails(t *testing.T) {
	s := newSite(t)
	s.own()
	s.write(s.service("192.0.2.10:80", "127.0.0.1"))
	if err := os.Mkdir(s.path("log"), 0o700); err != nil {
		t.Fatal(err)
	}
	code, out := s.run("start")
	if want := "directord: logfile: open " + s.path("log") + ": is a directory\n"; code != 1 || !strings.HasSuffix(out, want) {
		t.Errorf("%d %s", code, out)
	}
	if pid := s.pid("web"); pid != 0 {
		t.Errorf("a daemon runs with pid %d", pid)
	}
}

// TestFileOfAnotherDirectory checks that start refuses a file with the same name as the file of a
// running daemon.
func TestFileOfAnotherDirectory(t *testing.T) {
	s := newSite(t)
	s.write(s.service("192.0.2.10:80", "127.0.0.1"))
	s.serve()
	other := s.path("other/web.cf")
	if err := os.Mkdir(filepath.Dir(other), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(other, []byte("virtual=192.0.2.11:80\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	running := s.cf
	s.cf = other
	code, out := s.run("start")
	if want := "directord: a daemon with the name web runs with " + running + "; give the file another name\n"; code != 1 || out != want {
		t.Errorf("%d %s", code, out)
	}
}

// TestExecute checks that start, reload and stop also act on the instances that a configuration
// names.
func TestExecute(t *testing.T) {
	s := newSite(t)
	s.own()
	other := s.path("mail.cf")
	if err := os.WriteFile(other, []byte("logfile=\""+s.path("mail.log")+"\"\nexecute="+s.cf+"\nvirtual=192.0.2.11:25\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.write("execute=" + other + "\n" + s.service("192.0.2.10:80", "127.0.0.1"))
	if code, out := s.run("start"); code != 0 {
		t.Fatalf("%d %s", code, out)
	}
	runs := func(id string) func() string { return func() string { return fmt.Sprint(s.pid(id) != 0) } }
	s.wait(runs("mail"), "true")
	s.wait(func() string { _, err := control.Status(t.Context(), s.dir, "mail"); return fmt.Sprint(err) }, "<nil>")
	want := compat.Running(s.cf, s.pid("web")) + "\n" + compat.Running(other, s.pid("mail")) + "\n"
	if code, out := s.run("status"); code != 0 || out != want {
		t.Errorf("status: %d\ngot  %s\nwant %s", code, out, want)
	}
	if err := os.WriteFile(other, []byte("logfile=\""+s.path("mail.log")+"\"\nexecute="+s.cf+"\nvirtual=192.0.2.12:25\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, out := s.run("reload"); code != 0 {
		t.Errorf("reload: %d %s", code, out)
	}
	s.until(func() (string, bool) {
		log := s.read("mail.log")
		return log, strings.Contains(log, "Added virtual server: 192.0.2.12:25\n")
	}, "a new service")
	if code, out := s.run("stop"); code != 0 {
		t.Errorf("stop: %d %s", code, out)
	}
	s.wait(runs("mail"), "false")
	s.wait(runs("web"), "false")
}

// TestPerlProgram checks that start fails while the Perl program runs, and that stop ends the Perl
// program.
func TestPerlProgram(t *testing.T) {
	s := newSite(t)
	s.write(s.service("192.0.2.10:80", "127.0.0.1"))
	cat, err := os.ReadFile("/bin/cat")
	if err != nil {
		t.Fatal(err)
	}
	perl := s.path("perl5.36")
	if err := os.WriteFile(perl, cat, 0o700); err != nil {
		t.Fatal(err)
	}
	// The program is a copy of cat, which waits for input.
	program := exec.Command(perl, "-", "/usr/sbin/ldirectord")
	input, err := program.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := program.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := program.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	t.Cleanup(func() { _ = program.Process.Kill() }) // Kill only has an effect if the test failed before the process ended
	if _, err := io.WriteString(input, "."); err != nil {
		t.Fatal(err)
	}
	// After this read, the kernel shows the arguments of the new program, so it looks like ldirectord.
	if _, err := io.ReadFull(output, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	go func() { ended <- program.Wait() }()
	pid := program.Process.Pid
	if err := os.WriteFile(s.path("ldirectord.web.cf.pid"), fmt.Appendf(nil, "%d\n", pid), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, out := s.run("status"); code != 0 || out != compat.Running(s.cf, pid)+"\n" {
		t.Errorf("status: %d %s", code, out)
	}
	want := fmt.Sprintf("directord: the Perl program ldirectord runs for %s with pid %d; stop it first\n", s.cf, pid)
	if code, out := s.run("start"); code != 1 || out != want {
		t.Errorf("start: %d %s", code, out)
	}
	if code, out := s.run("stop"); code != 0 || out != "" {
		t.Errorf("stop: %d %s", code, out)
	}
	select {
	case err := <-ended:
		if err == nil || err.Error() != "signal: terminated" {
			t.Errorf("it ended with %v", err)
		}
	case <-time.After(30 * time.Second):
		t.Error("it runs on")
	}
	if code, out := s.run("status"); code != 3 {
		t.Errorf("status after the stop: %d %s", code, out)
	}
}

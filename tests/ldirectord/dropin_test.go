package ldirectord

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lvs-agents/tests/lab"
)

// tutorial is the case whose configuration is from a common how-to. It has readdquiescent, so
// ldirectord adds a real server only after the first check. So the log of ldirectord 4.12 (Debian)
// follows the verdicts, as our log does.
const tutorial = "05-tutorial-004"

const (
	web  = "-A -t 192.0.2.10:80 -s rr\n"
	web1 = "-a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 1\n"
	web2 = "-a -t 192.0.2.10:80 -r 192.0.2.22:80 -g -w 1\n"
)

func program(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs("../../bin/directord")
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// ours returns a world for our program, with the configuration of the case tutorial. When the test
// ends, the daemon is stopped.
func ours(t *testing.T) *world {
	lab.Require(t, "ipvsadm", "ldirectord")
	w := newWorld(t, tutorial, "testdata/"+tutorial+".cf")
	t.Cleanup(func() { w.run(t, 0, program(t), w.config, "stop") })
	return w
}

// TestLog checks that directord logs a start, a failure, a recovery and a stop as the Perl program
// does.
func TestLog(t *testing.T) {
	if *record != "" {
		lab.Require(t, "ldirectord")
		w := newWorld(t, tutorial, "testdata/"+tutorial+".cf")
		w.story(t, lab.PerlProgram(t), func(string) { w.settle(t) })
		if err := os.WriteFile(filepath.Join(*record, tutorial+".log"), []byte(w.messages(t, lab.PerlProgram(t))), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	w := ours(t)
	w.story(t, program(t), func(want string) { w.expect(t, "story", want) })
	want, err := os.ReadFile("testdata/" + tutorial + ".log")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), w.messages(t, program(t))); diff != "" {
		t.Errorf("log (-ldirectord +directord):\n%s", diff)
	}
}

func (w *world) story(t *testing.T, program string, wait func(table string)) {
	w.run(t, 0, program, w.config, "start")
	wait(web + web1 + web2)
	w.down(t, 21)
	wait(web + web2)
	w.up(t, 21)
	wait(web + web1 + web2)
	if *record != "" {
		w.terminate(t)
	} else {
		w.run(t, 0, program, w.config, "stop")
	}
	wait("")
}

// prefix matches [date|instance|pid] at the beginning of a log line.
var prefix = regexp.MustCompile(`^\[[A-Z][a-z]{2} [A-Z][a-z]{2} [ 0-9]\d \d\d:\d\d:\d\d \d{4}\|([^|]*)\|\d+\] `)

// messages returns the log in a form that a test can compare. It replaces paths and versions with
// fixed words, and removes the lines that status and stop log.
func (w *world) messages(t *testing.T, program string) string {
	text, err := os.ReadFile(filepath.Join(w.dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	version := regexp.MustCompile(`Linux Director \S+ as daemon`)
	for line := range strings.Lines(string(text)) {
		found := prefix.FindStringSubmatch(line)
		if found == nil || found[1] != w.name+".cf" {
			t.Errorf("odd line %q", line)
			continue
		}
		message := strings.TrimPrefix(line, found[0])
		if strings.HasSuffix(message, "status \n") || strings.HasSuffix(message, "stop \n") || strings.Contains(message, "ldirectord status") || strings.Contains(message, " running with pid") || strings.Contains(message, "is stopped for") {
			continue
		}
		message = strings.NewReplacer(program, "PROGRAM", w.config, "CONFIG").Replace(message)
		out.WriteString(version.ReplaceAllString(message, "Linux Director VERSION as daemon"))
	}
	return out.String()
}

// agent runs an action of the resource agent ocf:heartbeat:ldirectord. The agent calls our program
// instead of the Perl program.
func (w *world) agent(t *testing.T, want int, action string) {
	t.Helper()
	code, out := w.exec(t, "env", "OCF_ROOT=/usr/lib/ocf", "OCF_RESOURCE_INSTANCE=web", "OCF_RESKEY_configfile="+w.config,
		"OCF_RESKEY_ldirectord="+w.link(t), "/usr/lib/ocf/resource.d/heartbeat/ldirectord", action)
	if code != want {
		log, _ := os.ReadFile(filepath.Join(w.dir, "log"))
		t.Errorf("%s: exit code %d, want %d: %s\n%s", action, code, want, out, log)
	}
}

// link returns the path of a symbolic link to our program. The link has the name ldirectord, like
// the Perl program.
func (w *world) link(t *testing.T) string {
	t.Helper()
	path := filepath.Join(w.dir, "ldirectord")
	if err := os.Symlink(program(t), path); err != nil && !errors.Is(err, os.ErrExist) {
		t.Fatal(err)
	}
	return path
}

// pid returns the pid in the pid file of the daemon. Without this file, the test fails.
func (w *world) pid(t *testing.T) (pid int) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(w.dir, "ldirectord."+w.name+".cf.pid"))
	if err == nil {
		_, err = fmt.Sscan(string(text), &pid)
	}
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

func TestHeartbeatAgent(t *testing.T) {
	t.Parallel()
	w := ours(t)
	w.agent(t, 0, "validate-all")
	w.agent(t, 7, "monitor")
	w.agent(t, 0, "start")
	w.agent(t, 0, "start")
	w.agent(t, 0, "monitor")
	w.expect(t, "started", web+web1+web2)
	words, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", w.pid(t)))
	if want := w.link(t) + "\x00" + w.config + "\x00start\x00"; err != nil || !strings.HasPrefix(string(words), want) {
		t.Errorf("command line %q, the agent looks for %q: %v", words, want, err)
	}
	if err := syscall.Kill(w.pid(t), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	lab.Wait(t, 10*time.Second, "end", func() error {
		if code, out := w.exec(t, w.link(t), w.config, "status"); code != 1 {
			return fmt.Errorf("%d: %s", code, out)
		}
		return nil
	})
	w.agent(t, 7, "monitor")
	w.agent(t, 0, "start")
	w.agent(t, 0, "monitor")
	w.expect(t, "started again", web+web1+web2)
	w.write(t, "virtual=192.0.2.10\n") // with a broken file, monitor and stop must still reach the daemon
	w.agent(t, 0, "monitor")
	w.expect(t, "with a broken file", web+web1+web2)
	w.agent(t, 0, "stop")
	w.agent(t, 7, "monitor")
	w.agent(t, 0, "stop")
	w.expect(t, "stopped", "")
	w.agent(t, 1, "start")
}

func (w *world) write(t *testing.T, text string) {
	t.Helper()
	if err := os.WriteFile(w.config, []byte(fmt.Sprintf("logfile=\"%s/log\"\n", w.dir)+text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// script runs an action of ldirectord's init script. For the script, /usr/sbin/ldirectord is our
// program, and /etc/default/ldirectord is our file.
func (w *world) script(t *testing.T, want int, script, action string) string {
	t.Helper()
	settings := filepath.Join(w.dir, "default")
	if err := os.WriteFile(settings, []byte("CONFIG_FILE="+w.config+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return w.run(t, want, "unshare", "-m", "sh", "-ec",
		"mount --bind "+program(t)+" /usr/sbin/ldirectord; mount --bind "+settings+" /etc/default/ldirectord; exec "+script+" "+action)
}

func TestInitScripts(t *testing.T) {
	mine, err := filepath.Abs("../../cmd/directord/system/ldirectord.init")
	if err != nil {
		t.Fatal(err)
	}
	for name, script := range map[string]string{"Debian's": "/etc/init.d/ldirectord", "ours": mine} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := ours(t)
			w.script(t, 3, script, "status")
			w.script(t, 0, script, "start")
			w.script(t, 0, script, "status")
			w.expect(t, "started", web+web1+web2)
			before := w.pid(t)
			w.script(t, 0, script, "reload")
			w.script(t, 0, script, "force-reload")
			if w.pid(t) != before {
				t.Error("reload started another daemon")
			}
			w.script(t, 0, script, "try-restart")
			w.script(t, 0, script, "restart")
			if w.pid(t) == before {
				t.Error("restart did not end the daemon")
			}
			w.expect(t, "restarted", web+web1+web2)
			w.script(t, 0, script, "stop")
			w.script(t, 3, script, "status")
			w.script(t, 0, script, "stop")
			w.script(t, 0, script, "try-restart")
			w.script(t, 1, script, "reload")
			w.expect(t, "stopped", "")
		})
	}
}

// TestReload checks that a running daemon reads its configuration file again after a change.
func TestReload(t *testing.T) {
	t.Parallel()
	w := ours(t)
	good, err := os.ReadFile(w.config)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.SplitN(string(good), "\n", 2)[1]
	callback := filepath.Join(w.dir, "callback")
	if err := os.WriteFile(callback, []byte("#!/bin/sh\necho \"$@\" >>"+w.dir+"/called\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	text = fmt.Sprintf("autoreload=yes\ncallback=\"%s\"\n", callback) + text
	w.write(t, text)
	w.run(t, 0, program(t), w.config, "start")
	w.down(t, 22)
	w.expect(t, "one down", web+web1)
	before := w.log(t)
	w.write(t, strings.Replace(text, "scheduler=rr", "scheduler=wrrr", 1))
	w.said(t, before, `the new configuration is refused, the previous configuration stays: `, `unknown scheduler "wrrr"; did you mean "wrr"?`)
	w.run(t, 2, program(t), w.config, "reload")
	w.run(t, 2, program(t), w.config, "try-restart")
	w.run(t, 0, program(t), w.config, "status")
	w.write(t, "")
	w.said(t, before, "has no virtual service any more")
	w.expect(t, "bad files", web+web1)
	w.write(t, strings.Replace(text, "scheduler=rr", "scheduler=wlc", 1))
	w.expect(t, "changed", strings.Replace(web, "rr", "wlc", 1)+web1)
	w.write(t, text+"virtual=192.0.2.11:80\n\treal=192.0.2.21:80 gate\n")
	w.expect(t, "added", web+"-A -t 192.0.2.11:80 -s wrr\n"+web1+"-a -t 192.0.2.11:80 -r 192.0.2.21:80 -g -w 1\n")
	w.write(t, strings.Replace(text, "autoreload=yes", "autoreload=no", 1))
	w.expect(t, "removed", web+web1)
	after := w.log(t)
	w.write(t, strings.Replace(text, "scheduler=rr", "scheduler=wlc", 1))
	w.said(t, after, " - ignore new configuration")
	w.expect(t, "ignored", web+web1)
	w.run(t, 0, program(t), w.config, "reload")
	w.expect(t, "reloaded", strings.Replace(web, "rr", "wlc", 1)+web1)
	if log := w.log(t)[len(before):]; strings.Contains(log, "server: 192.0.2.21:80 (192.0.2.10:80)") || strings.Contains(log, "fallback server") {
		t.Errorf("a real server flapped:\n%s", log)
	}
	if called, err := os.ReadFile(filepath.Join(w.dir, "called")); err != nil || !strings.HasPrefix(string(called), w.config+"\n") {
		t.Errorf("callback %q %v", called, err)
	}
	if err := os.Rename(filepath.Join(w.dir, "log"), filepath.Join(w.dir, "log.1")); err != nil {
		t.Fatal(err)
	}
	w.up(t, 22)
	w.said(t, "", "Added real server: 192.0.2.22:80 (192.0.2.10:80) (Weight set to 1)")
}

func (w *world) log(t *testing.T) string {
	text, err := os.ReadFile(filepath.Join(w.dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// said waits until the log contains each of the texts. before is the earlier log, where said does
// not search.
func (w *world) said(t *testing.T, before string, texts ...string) {
	t.Helper()
	lab.Wait(t, 20*time.Second, "log", func() error {
		log, _ := os.ReadFile(filepath.Join(w.dir, "log"))
		for _, text := range texts {
			if !strings.Contains(strings.TrimPrefix(string(log), before), text) {
				return fmt.Errorf("%q is not in\n%s", text, log)
			}
		}
		return nil
	})
}

// TestForeground checks that directord runs in the foreground with supervised=yes. It also checks
// that directord, with the privileges of its systemd unit, tells systemd that it is ready
// (sd_notify).
func TestForeground(t *testing.T) {
	w := ours(t)
	path := filepath.Join(w.dir, "notify")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = socket.Close() }()
	states := make(chan string, 100)
	go func() {
		buffer := make([]byte, 4096)
		for {
			n, err := socket.Read(buffer)
			if err != nil {
				return
			}
			states <- string(buffer[:n])
		}
	}()
	until := func(want string) {
		t.Helper()
		timeout := time.After(30 * time.Second)
		for {
			select {
			case state := <-states:
				if strings.HasPrefix(state, want) {
					return
				}
			case <-timeout:
				t.Fatalf("systemd did not get %s", want)
			}
		}
	}
	ended := make(chan string, 1)
	confined := append(lab.Confined(t, "../../cmd/directord/system/ldirectord.service"), program(t), "-f", w.config, "start")
	cmd := w.command("env", append([]string{"NOTIFY_SOCKET=" + path, "WATCHDOG_USEC=900000"}, confined...)...)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { ended <- fmt.Sprint(cmd.Wait()) }()
	until("READY=1")
	until("WATCHDOG=1")
	w.expect(t, "ready", web+web1+web2)
	w.run(t, 0, program(t), w.config, "reload")
	until("RELOADING=1\nMONOTONIC_USEC=")
	until("READY=1")
	w.run(t, 0, program(t), w.config, "stop")
	until("STOPPING=1")
	if end := <-ended; end != "<nil>" || out.String() != "" {
		t.Errorf("%s %s", end, out.String())
	}
	w.expect(t, "stopped", "")

	text, err := os.ReadFile(w.config)
	if err != nil {
		t.Fatal(err)
	}
	w.write(t, "supervised\n"+strings.SplitN(string(text), "\n", 2)[1])
	cmd = w.command(program(t), w.config, "start")
	out.Reset()
	cmd.Stdout = &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.expect(t, "supervised", web+web1+web2)
	w.run(t, 0, program(t), w.config, "stop")
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	if got := out.String(); !strings.Contains(got, "] Added real server: 192.0.2.21:80 (192.0.2.10:80) (Weight set to 1)\n") || strings.Contains(got, "|") {
		t.Errorf("standard output:\n%s", got)
	}
}

// TestTwoDaemons checks that two daemons on one host do not change each other's services.
func TestTwoDaemons(t *testing.T) {
	t.Parallel()
	w := ours(t)
	other := filepath.Join(w.dir, "other.cf")
	const service = "checkinterval=1\nvirtual=192.0.2.11:80\n\treal=192.0.2.21:80 gate\n\trequest=\"index.html\"\n"
	if err := os.WriteFile(other, []byte(fmt.Sprintf("logfile=\"%s/other.log\"\n", w.dir)+service), 0o644); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(w.config)
	if err != nil {
		t.Fatal(err)
	}
	w.write(t, "execute="+other+"\n"+strings.SplitN(string(text), "\n", 2)[1])
	w.run(t, 0, program(t), w.config, "start")
	both := web + "-A -t 192.0.2.11:80 -s wrr\n" + web1 + web2 + "-a -t 192.0.2.11:80 -r 192.0.2.21:80 -g -w 1\n"
	w.expect(t, "both", both)
	if out := w.run(t, 0, program(t), w.config, "status"); strings.Count(out, "is running with pid") != 2 {
		t.Error(out)
	}
	w.run(t, 0, program(t), other, "stop")
	w.expect(t, "one", web+web1+web2)
	w.run(t, 0, program(t), other, "start")
	w.expect(t, "both again", both)
	same := filepath.Join(w.dir, "elsewhere", "other.cf")
	if err := errors.Join(os.Mkdir(filepath.Dir(same), 0o755), os.WriteFile(same, []byte(service), 0o644)); err != nil {
		t.Fatal(err)
	}
	if out := w.run(t, 1, program(t), same, "start"); !strings.Contains(out, "give the file another name") {
		t.Error(out)
	}
	w.run(t, 0, program(t), w.config, "stop")
	lab.Wait(t, 20*time.Second, "end of both", func() error {
		if table := w.look(t); table != "" {
			return errors.New(table)
		}
		return nil
	})
}

// TestSideChannels checks that directord sends mail, runs the fallback command and writes the
// monitor file.
func TestSideChannels(t *testing.T) {
	t.Parallel()
	w := ours(t)
	text, err := os.ReadFile(w.config)
	if err != nil {
		t.Fatal(err)
	}
	settings := "emailalert=admin@example.org\nemailalertstatus=running,stopping\nemailalertfreq=1\n"
	w.write(t, settings+strings.SplitN(string(text), "\n", 2)[1]+
		fmt.Sprintf("\tfallbackcommand=%s/sorry\n\tmonitorfile=%s/monitor\n\tservicename=web shop\n", w.dir, w.dir))
	if err := os.WriteFile(filepath.Join(w.dir, "sorry"), []byte("#!/bin/sh\necho \"$@\" >>"+w.dir+"/commands\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	w.run(t, 0, program(t), w.config, "start")
	w.expect(t, "started", web+web1+web2)
	w.down(t, 21)
	w.down(t, 22)
	w.expect(t, "all failed", web+"-a -t 192.0.2.10:80 -r 127.0.0.1:80 -g -w 1\n")
	w.up(t, 21)
	w.expect(t, "one back", web+web1)
	w.said(t, "", "emailalert: [web shop] Deleted real server: 192.0.2.21:80 (192.0.2.10:80)",
		"emailalert: [web shop] Added fallback server: 127.0.0.1:80 (192.0.2.10:80) (Weight set to 1)",
		"emailalert: [web shop] Inaccessible real server: 192.0.2.22:80 (192.0.2.10:80)")
	w.run(t, 0, program(t), w.config, "stop")
	log := w.log(t)
	if strings.Contains(log, "emailalert: [web shop] Added real server: 192.0.2.22:80") || !strings.Contains(log, "emailalert: [web shop] Purged real server (stop): 192.0.2.21:80") {
		t.Errorf("the checks are not in their phases:\n%s", log)
	}
	commands, err := os.ReadFile(filepath.Join(w.dir, "commands"))
	const want = "stop 192.0.2.10:80 tcp\nstart 192.0.2.10:80 tcp\nstop 192.0.2.10:80 tcp\n"
	if diff := cmp.Diff(want, string(commands)); diff != "" || err != nil {
		t.Errorf("fallback command (-want +got): %v\n%s", err, diff)
	}
	monitor, err := os.ReadFile(filepath.Join(w.dir, "monitor"))
	line := regexp.MustCompile(`(?m)^\[[^]]+\] \[\d+\] negotiate http tcp 192\.0\.2\.21 80 1 gate /\.health\.html OK \[up\] -$`)
	if err != nil || !line.Match(monitor) || !strings.Contains(string(monitor), "[down] GET http://192.0.2.21:80/.health.html: connect to 192.0.2.21:80: connection refused") {
		t.Errorf("monitor file: %v\n%s", err, monitor)
	}
}

// TestUpgrade checks the installation of our program while the Perl program runs. Our program must
// refuse to start, and its stop must end the Perl program. If the Perl program leaves its table in
// the kernel, our program must adopt the table.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	lab.Require(t, "ipvsadm", "ldirectord")
	w := newWorld(t, "69-cleanstop", "testdata/69-cleanstop.cf")
	w.real = true
	w.run(t, 0, lab.PerlProgram(t), w.config, "start")
	w.expect(t, "Perl runs", web+web1+web2)
	if out := w.run(t, 1, program(t), w.config, "start"); !strings.Contains(out, "the Perl program ldirectord runs for "+w.config) {
		t.Error(out)
	}
	w.run(t, 0, program(t), w.config, "stop")
	if _, err := os.Stat("/run/ldirectord.69-cleanstop.cf.pid"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Perl's pid file: %v", err)
	}
	w.expect(t, "stopped", web+web1+web2)
	before := len(w.log(t))
	w.run(t, 0, program(t), w.config, "start")
	w.expect(t, "taken over", web+web1+web2)
	if log := w.log(t)[before:]; strings.Contains(log, "virtual server:") || strings.Contains(log, "real server:") {
		t.Errorf("the table was changed:\n%s", log)
	}
	w.run(t, 0, program(t), w.config, "stop")
	w.expect(t, "stopped", web+web1+web2)
}

package directord

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"lvs-agents/internal/config/load"
	"lvs-agents/internal/control"
	"lvs-agents/internal/directord/compat"
	"lvs-agents/internal/kernel/kerneltest"
	"lvs-agents/internal/lvs"
	"lvs-agents/internal/state/record"
	"lvs-agents/ocf"
)

// TestMain runs the program directord if the first argument is a configuration. The tests start the
// test binary as this program. An environment variable names the directory of a test.
func TestMain(m *testing.M) {
	if len(os.Args) < 3 || !strings.HasSuffix(os.Args[1], ".cf") {
		os.Exit(m.Run())
	}
	dir := os.Getenv(ocf.StateDirVariable)
	sys := testSystem(dir, dir, os.Stderr)
	sys.Self = "/proc/self/exe"
	ctx, end := context.WithCancelCause(context.Background())
	go func() {
		terminated := make(chan os.Signal, 1)
		signal.Notify(terminated, syscall.SIGTERM)
		end(Ended{(<-terminated).(syscall.Signal)})
	}()
	os.Exit(Run(ctx, os.Args, sys))
}

// site is a director with one configuration file, which tests change.
type site struct {
	t      *testing.T
	dir    string // dir is the directory of all files of the test.
	cf     string
	sys    System
	kernel *kerneltest.IPVS
	output *output
	port   uint16 // port is the port where the real server 127.0.0.1 listens.
	end    context.CancelCauseFunc
	exit   chan int
}

// output stores the text that several goroutines write.
type output struct {
	mu   sync.Mutex
	text strings.Builder
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

func newSite(t *testing.T) *site {
	t.Helper()
	dir, err := os.MkdirTemp("", "lvs") // a short directory name: the path of a unix socket can have at most 107 characters
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	s := &site{t: t, dir: dir, cf: filepath.Join(dir, "web.cf"), output: new(output)}
	s.sys = testSystem(dir, dir, s.output)
	s.sys.Environ = append(slices.Clone(s.sys.Environ), ocf.StateDirVariable+"="+dir)
	s.kernel = s.sys.Kernel.(*kerneltest.IPVS)
	s.port = listen(t, "127.0.0.1:0").Port
	return s
}

// listener is a real server. It accepts connections and closes them.
type listener struct {
	net.Listener
	Port uint16
}

func listen(t *testing.T, addr string) listener {
	t.Helper()
	l, err := net.Listen("tcp4", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_ = conn.Close()
		}
	}()
	return listener{l, l.Addr().(*net.TCPAddr).AddrPort().Port()}
}

// service returns the text of a virtual service whose real servers are these hosts.
func (s *site) service(virtual string, hosts ...string) string {
	text := "virtual=" + virtual + "\n\tchecktype=connect\n\tscheduler=rr\n\tprotocol=tcp\n"
	for _, host := range hosts {
		text += fmt.Sprintf("\treal=%s:%d masq\n", host, s.port)
	}
	return text
}

// write replaces the text of the configuration file, and adds the times of checks and a logfile.
func (s *site) write(text string) {
	s.t.Helper()
	text = "checkinterval=1\nchecktimeout=1\nlogfile=\"" + s.path("log") + "\"\n" + text
	if err := os.WriteFile(s.path("new"), []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Rename(s.path("new"), s.cf); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) path(name string) string { return filepath.Join(s.dir, name) }

func (s *site) read(name string) string {
	text, _ := os.ReadFile(s.path(name))
	return string(text)
}

// run runs an action. It returns the exit code and the output.
func (s *site) run(action string) (int, string) {
	var out output
	sys := s.sys
	sys.Stdout, sys.Stderr = &out, &out
	return Run(s.t.Context(), []string{"directord", s.cf, action}, sys), out.String()
}

// launch runs the program in this process until the call of stop.
func (s *site) launch(args []string) {
	ctx, end := context.WithCancelCause(s.t.Context())
	s.end, s.exit = end, make(chan int, 1)
	go func() { s.exit <- Run(ctx, args, s.sys) }()
	s.t.Cleanup(func() { s.stop() })
}

// serve runs the daemon in this process. It waits until the kernel's table has the first verdicts.
func (s *site) serve() {
	s.t.Helper()
	s.launch([]string{"directord", "-f", s.cf, "start"})
	s.wait(func() string {
		snapshot, err := control.Status(s.t.Context(), s.dir, "web")
		return fmt.Sprintf("%d unknown, %v", snapshot.Unknown(), err)
	}, "0 unknown, <nil>")
	s.until(func() (string, bool) { table := s.kernel.String(); return table, strings.Contains(table, "-w 1") }, "a weight of 1")
}

// stop ends the program as the signal TERM would, and returns its exit code.
func (s *site) stop() int {
	if s.end == nil {
		return -1
	}
	s.end(Ended{syscall.SIGTERM})
	return s.ended()
}

// ended waits until the program has ended, and returns its exit code.
func (s *site) ended() int {
	s.t.Helper()
	select {
	case code := <-s.exit:
		s.end = nil
		return code
	case <-time.After(30 * time.Second):
		s.t.Error("the daemon does not end")
		return -1
	}
}

// wait waits until the function got returns the value want.
func (s *site) wait(got func() string, want string) {
	s.t.Helper()
	s.until(func() (string, bool) { g := got(); return g, g == want }, want)
}

// waitLog waits until the log contains the text want.
func (s *site) waitLog(want string) {
	s.t.Helper()
	s.until(func() (string, bool) { log := s.read("log"); return log, strings.Contains(log, want) }, want)
}

func (s *site) until(look func() (got string, done bool), want string) {
	s.t.Helper()
	for limit := time.Now().Add(30 * time.Second); ; <-time.After(10 * time.Millisecond) {
		got, done := look()
		if done {
			return
		}
		if time.Now().After(limit) {
			s.t.Fatalf("got  %s\nwant %s\noutput: %s\nlog: %s", got, want, s.output, s.read("log"))
		}
	}
}

func TestLifeOfADaemon(t *testing.T) {
	s := newSite(t)
	s.write("quiescent=yes\n" + s.service("192.0.2.10:80", "127.0.0.1", "127.0.0.2"))
	s.serve()
	table := fmt.Sprintf("-A -t 192.0.2.10:80 -s rr\n-a -t 192.0.2.10:80 -r 127.0.0.1:%[1]d -g -w 1\n-a -t 192.0.2.10:80 -r 127.0.0.2:%[1]d -g -w 0\n", s.port)
	s.wait(s.kernel.String, table)
	if got, want := s.read("ldirectord.web.cf.pid"), fmt.Sprintf("%d\n", os.Getpid()); got != want {
		t.Errorf("pid file: got %q, want %q", got, want)
	}
	if code, out := s.run("status"); code != 0 || out != fmt.Sprintf("ldirectord for %s is running with pid: %d\n", s.cf, os.Getpid()) {
		t.Errorf("status: %d %s", code, out)
	}
	if code, out := s.run("start"); code != 0 || out != "" {
		t.Errorf("a start while it runs: %d %s", code, out)
	}
	var out output
	sys := s.sys
	sys.Stderr = &out
	code := Run(t.Context(), []string{"directord", serveVerb, "--id=web", "--config=" + s.cf}, sys)
	if want := "directord: directord web: running already\n"; code != 1 || out.String() != want {
		t.Errorf("a second daemon: %d %s", code, out.String())
	}
	second := listen(t, fmt.Sprintf("127.0.0.2:%d", s.port))
	s.wait(s.kernel.String, strings.Replace(table, "-w 0", "-w 1", 1))
	_ = second.Close()
	s.wait(s.kernel.String, table)
	if code := s.stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if table := s.kernel.String(); table != "" {
		t.Errorf("left in the kernel:\n%s", table)
	}
	if code, out := s.run("status"); code != 3 || out != "ldirectord is stopped for "+s.cf+"\n" {
		t.Errorf("status of a stopped one: %d %s", code, out)
	}
	for _, line := range []string{
		"|web.cf|", "] Invoking ldirectord invoked as: directord -f " + s.cf + " start \n", fmt.Sprintf("] Starting Linux Director 1.2.3 with pid: %d\n", os.Getpid()),
		"] Added virtual server: 192.0.2.10:80\n", fmt.Sprintf("] Restored real server: 127.0.0.2:%d (192.0.2.10:80) (Weight set to 1)\n", s.port),
		fmt.Sprintf("] Quiescent real server: 127.0.0.2:%d (192.0.2.10:80) (Weight set to 0)\n", s.port),
		"] Purged virtual server (stop): 192.0.2.10:80\n", "] Linux Director Daemon terminated on signal: TERM\n",
	} {
		if !strings.Contains(s.read("log"), line) {
			t.Errorf("no %q in the log:\n%s", line, s.read("log"))
		}
	}
}

// TestServicesThatOutliveTheDaemon checks that a service with cleanstop=no stays in the kernel when
// the daemon ends.
func TestServicesThatOutliveTheDaemon(t *testing.T) {
	s := newSite(t)
	s.write("cleanstop=no\n" + s.service("192.0.2.10:80", "127.0.0.1") + s.service("192.0.2.11:80", "127.0.0.1") + "\tcleanstop=yes\n")
	s.serve()
	s.wait(func() string { return fmt.Sprint(strings.Count(s.kernel.String(), "-w 1")) }, "2")
	if code := s.stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	want := fmt.Sprintf("-A -t 192.0.2.10:80 -s rr\n-a -t 192.0.2.10:80 -r 127.0.0.1:%d -g -w 1\n", s.port)
	if got := s.kernel.String(); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// TestChangedFile checks that the daemon reads a changed file only with autoreload=yes. The
// callback runs with and without autoreload.
func TestChangedFile(t *testing.T) {
	s := newSite(t)
	callback := s.path("callback")
	if err := os.WriteFile(callback, []byte("#!/bin/sh\necho \"$1\" >>"+s.path("called")+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	common := "callback=\"" + callback + "\"\n" + s.service("192.0.2.10:80", "127.0.0.1")
	s.write("autoreload=yes\n" + common)
	s.serve()
	services := func() string { return fmt.Sprint(strings.Count(s.kernel.String(), "-A ")) }
	s.wait(services, "1")
	s.write("autoreload=no\n" + common + s.service("192.0.2.11:80", "127.0.0.1"))
	s.wait(services, "2")
	s.waitLog("Configuration file '" + s.cf + "' has changed on disk\n")
	s.waitLog("]  - reread new configuration\n")
	s.wait(func() string { return s.read("called") }, s.cf+"\n")

	s.write("autoreload=no\n" + common)
	s.waitLog("]  - ignore new configuration\n")
	s.wait(func() string { return s.read("called") }, s.cf+"\n"+s.cf+"\n")
	if services() != "2" {
		t.Errorf("a file was read without autoreload: %s", s.kernel)
	}
	current := func() string {
		snapshot, err := control.Status(t.Context(), s.dir, "web")
		return fmt.Sprint(snapshot.Digest == load.Digest([]byte(s.read(filepath.Base(s.cf)))), err)
	}
	if got := current(); got != "false <nil>" {
		t.Errorf("the digest of the file without autoreload: %s", got)
	}
	if code, out := s.run("reload"); code != 0 || out != "" {
		t.Errorf("reload: %d %s", code, out)
	}
	s.wait(services, "1")
	s.wait(current, "true <nil>")
	s.waitLog("Reloading Linux Director Daemon config on signal\n")
}

// TestFileWithFaults checks that a reload refuses a file with faults, and that the earlier
// configuration stays in use.
func TestFileWithFaults(t *testing.T) {
	s := newSite(t)
	good := s.service("192.0.2.10:80", "127.0.0.1")
	s.write("autoreload=yes\n" + good)
	s.serve()
	table := s.kernel.String()
	s.write("autoreload=yes\n" + good + "\tscheduler=wrrr\n")
	trouble := s.cf + `:10:12: unknown scheduler "wrrr"; did you mean "wrr"?; the previous configuration stays in use`
	status := func() string { _, out := s.run("status"); return out[strings.LastIndexByte(out[:len(out)-1], '\n')+1:] }
	s.wait(status, "trouble: "+trouble+"\n")
	if got := s.kernel.String(); got != table {
		t.Errorf("got\n%swant\n%s", got, table)
	}
	if err := os.Remove(s.cf); err != nil {
		t.Fatal(err)
	}
	s.waitLog("Configuration file '" + s.cf + "' does not exist any more; the configuration stays as it is\n")
	s.write("autoreload=yes\n" + good)
	s.wait(func() string { _, out := s.run("status"); return out }, compat.Running(s.cf, os.Getpid())+"\n")
}

// TestMaintenanceFiles checks that a real server has weight 0 while a maintenance file has its
// name.
func TestMaintenanceFiles(t *testing.T) {
	s := newSite(t)
	maintenance := s.path("maintenance")
	s.write("quiescent=yes\nmaintenancedir=" + maintenance + "\n" + s.service("192.0.2.10:80", "127.0.0.1"))
	s.serve()
	weight := func() string {
		_, weight, _ := strings.Cut(strings.TrimSpace(s.kernel.String()), " -w ")
		return weight
	}
	s.wait(weight, "1")
	s.waitLog("maintenancedir: open " + maintenance + ": no such file or directory\n")
	if err := os.Mkdir(maintenance, 0o700); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(maintenance, fmt.Sprintf("127.0.0.1:%d", s.port))
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s.wait(weight, "0")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	s.wait(weight, "1")
}

// TestMonitorFile checks the lines in the monitorfile for a good check and for a bad check.
func TestMonitorFile(t *testing.T) {
	s := newSite(t)
	s.write(s.service("192.0.2.10:80", "127.0.0.1", "127.0.0.2") + "\tmonitorfile=" + s.path("checks") + "\n")
	s.serve()
	for _, want := range []string{
		fmt.Sprintf("[%d] connect tcp 127.0.0.1 %d 1 masq [up] -\n", os.Getpid(), s.port),
		fmt.Sprintf("[%d] connect tcp 127.0.0.2 %[2]d 1 masq [down] connect to 127.0.0.2:%[2]d: connection refused\n", os.Getpid(), s.port),
	} {
		s.until(func() (string, bool) { text := s.read("checks"); return text, strings.Contains(text, want) }, want)
	}
}

// TestOutputThatHangs checks that the daemon changes the table although its stdout and stderr are
// blocked.
func TestOutputThatHangs(t *testing.T) {
	s := newSite(t)
	reader, writer := io.Pipe()
	defer func() { _ = reader.Close() }()
	s.sys.Stdout, s.sys.Stderr = writer, writer
	second := listen(t, fmt.Sprintf("127.0.0.2:%d", s.port))
	s.write("supervised=yes\nquiescent=yes\n" + s.service("192.0.2.10:80", "127.0.0.1", "127.0.0.2"))
	s.serve()
	weights := func() string { return fmt.Sprint(strings.Count(s.kernel.String(), "-w 1")) }
	s.wait(weights, "2")
	_ = second.Close()
	s.wait(weights, "1")
}

// TestLogThatCannotBeWritten checks that the daemon does not start if it cannot write its log.
func TestLogThatCannotBeWritten(t *testing.T) {
	s := newSite(t)
	if err := syscall.Mkfifo(s.path("log"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.write(s.service("192.0.2.10:80", "127.0.0.1"))
	s.launch([]string{"directord", "-f", s.cf, "start"})
	code := s.ended()
	if want := "directord: logfile: " + s.path("log") + " is a pipe\n"; code != 1 || !strings.HasSuffix(s.output.String(), want) {
		t.Errorf("%d %s", code, s.output)
	}
	if table := s.kernel.String(); table != "" {
		t.Errorf("in the kernel:\n%s", table)
	}
}

// TestPIDFileThatIsRemoved checks that the daemon ends when its pid file is removed. Its services
// stay in the kernel for the next daemon.
func TestPIDFileThatIsRemoved(t *testing.T) {
	s := newSite(t)
	s.write(s.service("192.0.2.10:80", "127.0.0.1"))
	s.serve()
	if err := os.Remove(control.PIDFile(s.dir, "web")); err != nil {
		t.Fatal(err)
	}
	code := s.ended()
	want := "directord: " + control.PIDFile(s.dir, "web") + ": the pid file was removed or replaced; start again\n"
	if code != 1 || !strings.HasSuffix(s.output.String(), want) || !strings.Contains(s.kernel.String(), "-w 1") {
		t.Errorf("exit code %d, %s\n%s", code, s.output, s.kernel)
	}
}

// TestDebug checks that a daemon with -d logs everything to stderr. The last line is about the end
// of the daemon.
func TestDebug(t *testing.T) {
	s := newSite(t)
	s.write(s.service("192.0.2.10:80", "127.0.0.1"))
	s.launch([]string{"directord", "-d", s.cf, "start"})
	s.until(func() (string, bool) {
		out := s.output.String()
		return out, strings.Contains(out, "Added virtual server: 192.0.2.10:80\n")
	}, "a line")
	if s.read("ldirectord.web.cf.pid") != "" {
		t.Error("it has a pid file")
	}
	want := "Exiting with exit_status 0: Linux Director Daemon terminated on signal: TERM\n"
	if code := s.stop(); code != 0 || !strings.HasSuffix(s.output.String(), want) {
		t.Errorf("%d %s", code, s.output)
	}
}

// TestDaemonOfAResource checks a daemon whose services come from the record of an ipvs resource.
// When the daemon ends, the services stay in the kernel.
func TestDaemonOfAResource(t *testing.T) {
	s := newSite(t)
	args := []string{"directord", serveVerb, "--id=web", "--ipvs=web-ipvs", "--check=checktype=connect", "--check=checkinterval=1", "--check=quiescent=yes"}
	code := Run(t.Context(), args, s.sys)
	want := "directord: resource web-ipvs has no virtual services on this node; start it first\n"
	if code != 1 || !strings.HasSuffix(s.output.String(), want) {
		t.Errorf("%d %s", code, s.output)
	}
	text := fmt.Sprintf("-A -t 192.0.2.10:80 -s rr\n-a -t 192.0.2.10:80 -r 127.0.0.1:%[1]d -g -w 3\n-a -t 192.0.2.10:80 -r 127.0.0.2:%[1]d -g -w 5\n", s.port)
	table, err := lvs.ParseTable(text)
	if err != nil {
		t.Fatal(err)
	}
	store, err := record.In(s.dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Save(record.Record{ID: "web-ipvs", State: record.Running, Generation: 1, Services: table}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.kernel.Apply(t.Context(), lvs.Plan(table, nil, lvs.ScopeOf(table))); err != nil {
		t.Fatal(err)
	}
	s.launch(args)
	after := strings.Replace(text, "-w 5", "-w 0", 1)
	s.wait(s.kernel.String, after)
	if code := s.stop(); code != 0 {
		t.Errorf("exit code %d: %s", code, s.output)
	}
	if got := s.kernel.String(); strings.Count(got, "-A ") != 1 {
		t.Errorf("the service is gone: %s", got)
	}
}

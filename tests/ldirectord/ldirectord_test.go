// Package ldirectord compares our program directord with the Perl program ldirectord: both must
// make the same changes of the IPVS table, except for the listed differences. "make
// record-ldirectord" has recorded the tables of the Perl program.
package ldirectord

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lvs-agents/internal/kernel/ipvs"
	"lvs-agents/internal/kernel/kerneltest"
	"lvs-agents/internal/lvs"
	"lvs-agents/tests/lab"
)

var record = flag.String("record", "", "run the Perl program and write what it does into this directory")

func TestMain(m *testing.M) {
	flag.Parse()
	// The guest has one CPU, and the cases wait most of the time. So many cases run concurrently.
	parallel := "12"
	if *record != "" {
		parallel = "6"
	}
	if err := flag.Set("test.parallel", parallel); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// states are the situations of each case, in their order. For each state, the table is recorded.
var states = []string{"started", "one failed", "all failed", "recovered", "stopped"}

// servers lists the real servers of every case by the last number of their addresses: 21 is
// 192.0.2.21.
var servers = []int{21, 22, 23, 24}

// TestPeer checks for every configuration in testdata that directord makes the recorded tables, or
// the tables in the list of differences. With the flag -record, TestPeer runs the Perl program
// instead, and records its tables.
func TestPeer(t *testing.T) {
	lab.Require(t, "ipvsadm", "ldirectord")
	files, _ := filepath.Glob("testdata/*.cf")
	if len(files) < 60 {
		t.Fatalf("%d cases, want 60 or more", len(files))
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".cf")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, name, file)
			if *record != "" {
				w.record(t)
				return
			}
			w.compare(t)
		})
	}
	for _, d := range differences {
		if !slices.Contains(files, "testdata/"+d.name+".cf") || !slices.Contains(states, d.state) || d.reason == "" {
			t.Errorf("difference without a case, a state or a reason: %+v", d)
		}
	}
}

// record runs the Perl program through all states, and writes a file with the table of each state.
func (w *world) record(t *testing.T) {
	text := ""
	w.run(t, 0, lab.PerlProgram(t), w.config, "start")
	for _, state := range states {
		if state == "stopped" {
			w.terminate(t)
		}
		w.reach(t, state)
		w.settle(t)
		text += "== " + state + "\n" + w.table(t)
	}
	if err := os.WriteFile(filepath.Join(*record, w.name+".txt"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// compare runs our program through all states. In each state it expects the recorded table, or the
// table in the list of differences.
func (w *world) compare(t *testing.T) {
	recorded := w.recorded(t)
	w.launch(t)
	for _, state := range states {
		want, err := wanted(differences, w.name, state, recorded[state])
		if err != nil {
			t.Error(err)
		}
		if state == "stopped" {
			w.land(t)
		}
		w.reach(t, state)
		w.expect(t, state, want)
	}
}

// launch starts our program in the foreground, because a daemon would need three more processes in
// the guest. TestInitScripts and other tests start it as a daemon.
func (w *world) launch(t *testing.T) {
	path, err := filepath.Abs("../../bin/directord")
	if err != nil {
		t.Fatal(err)
	}
	said, err := os.Create(filepath.Join(w.dir, "said"))
	if err != nil {
		t.Fatal(err)
	}
	defer said.Close()
	w.daemon = w.command(path, "-f", w.config, "start")
	w.daemon.Stderr = said
	if err := w.daemon.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.daemon.Process.Kill() }) // Kill only has an effect if the test failed before the program ended
}

// land ends our program with SIGTERM. If the program does not end within a minute, SIGABRT makes it
// print its goroutines.
func (w *world) land(t *testing.T) {
	if err := w.daemon.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	late := time.AfterFunc(time.Minute, func() { _ = w.daemon.Process.Signal(syscall.SIGABRT) })
	defer late.Stop()
	if err := w.daemon.Wait(); err != nil {
		said, _ := os.ReadFile(filepath.Join(w.dir, "said")) // the program's exit status is the error; its output only explains it
		t.Errorf("%v\n%s", err, said)
	}
}

// wanted returns the table that our program must have in a state: the table of a listed difference,
// otherwise the recorded table. If a listed difference does not exist any more, wanted returns an
// error.
func wanted(list []difference, name, state, recorded string) (string, error) {
	for _, d := range list {
		switch {
		case d.name != name || d.state != state:
		case d.table == recorded:
			return recorded, fmt.Errorf("%s, %s: the listed difference does not exist any more", name, state)
		default:
			return d.table, nil
		}
	}
	return recorded, nil
}

// TestList checks that wanted returns the table of a listed difference, and the recorded table
// otherwise.
func TestList(t *testing.T) {
	list := []difference{{"a", "started", "why", "ours\n"}}
	for _, tt := range []struct{ name, state, recorded, want, err string }{
		{"a", "started", "theirs\n", "ours\n", "<nil>"},
		{"a", "started", "ours\n", "ours\n", "a, started: the listed difference does not exist any more"},
		{"a", "stopped", "theirs\n", "theirs\n", "<nil>"},
		{"b", "started", "theirs\n", "theirs\n", "<nil>"},
	} {
		if got, err := wanted(list, tt.name, tt.state, tt.recorded); got != tt.want || fmt.Sprint(err) != tt.err {
			t.Errorf("%s, %s: %q, %v", tt.name, tt.state, got, err)
		}
	}
}

// recorded reads the recorded tables of the Perl program, by state.
func (w *world) recorded(t *testing.T) map[string]string {
	text, err := os.ReadFile("testdata/" + w.name + ".txt")
	if err != nil {
		t.Fatalf("%v; run make record-ldirectord", err)
	}
	tables := map[string]string{}
	for part := range strings.SplitSeq(strings.TrimPrefix(string(text), "== "), "== ") {
		state, table, _ := strings.Cut(part, "\n")
		tables[state] = table
	}
	if len(tables) != len(states) {
		t.Fatalf("states %v", slices.Sorted(maps.Keys(tables)))
	}
	return tables
}

// world is the network of one case: a director and its real servers, in a new network namespace.
type world struct {
	name, dir, config string
	real              bool   // true: the programs keep their state and pid files at the usual paths
	fail              string // how real servers of this case fail, from a line of the configuration; "": they close their ports
	peer              *kerneltest.Peer
	kernel            *ipvs.Kernel
	daemon            *exec.Cmd // the process of launch

	mu        sync.Mutex
	listeners map[int][]net.Listener
}

// script, arguments and perlScript are programs for external checks. They report a real server as
// down while the file down-N exists. N is the last number of the server's address. arguments also
// reports a failure if its arguments are not exactly the arguments that ldirectord passes.
const (
	script = `#!/bin/sh
test ! -e @DIR@/down-${3##*.}
`
	arguments = `#!/bin/sh
n=${3##*[.:]}
n=${n%]}
case "$*" in
"192.0.2.10 80 192.0.2.21 80" | "192.0.2.10 80 192.0.2.22 8080") ;;
"[2001:db8::10] 80 [2001:db8::2"[12]"] 80") ;;
"31 0 192.0.2.21 0" | "31 0 192.0.2.22 80") ;;
"192.0.2.11 5353 192.0.2.21 5353") ;;
*) echo "$@" >>@DIR@/odd; exit 1 ;;
esac
test ! -e @DIR@/down-$n
`
	perlScript = `my ($address) = $ARGV[2] =~ /(\d+)$/;
exit(-e "@DIR@/down-$address" ? 1 : 0);
`
)

func newWorld(t *testing.T, name, file string) *world {
	kerneltest.Namespace(t)
	dir, err := os.MkdirTemp("", "peer") // the name is short, because the path of a unix socket contains it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	w := &world{name: name, dir: dir, config: filepath.Join(dir, name+".cf"), listeners: map[int][]net.Listener{}}
	w.peer = kerneltest.NewPeer(t, "eth0")
	w.peer.Do(func() {
		// Without this setting, the kernel would remove all addresses of a network together with
		// the first one.
		if err := os.WriteFile("/proc/sys/net/ipv4/conf/all/promote_secondaries", []byte("1"), 0); err != nil {
			t.Error(err)
		}
		addresses(t, dir, servers...)
	})
	addresses(t, dir, 1)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if first, rest, found := strings.Cut(string(text), "\n"); found && strings.HasPrefix(first, "# fail: ") {
		w.fail, text = strings.TrimPrefix(first, "# fail: "), []byte(rest)
	}
	if *record != "" {
		text = monitored(text)
	} else {
		text = patient(text, w.fail)
	}
	header := fmt.Sprintf("logfile=\"%s/log\"\n", dir)
	for path, content := range map[string]string{
		w.config:                        header + string(text),
		filepath.Join(dir, "check"):     script,
		filepath.Join(dir, "arguments"): arguments,
		filepath.Join(dir, "check.pl"):  perlScript,
		filepath.Join(dir, "sorry"):     "#!/bin/sh\n",
	} {
		content = strings.ReplaceAll(content, "@DIR@", dir)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "maintenance"), 0o755); err != nil {
		t.Fatal(err)
	}
	w.kernel = ipvs.New()
	t.Cleanup(func() {
		_ = w.kernel.Close()
		if t.Failed() {
			log, _ := os.ReadFile(filepath.Join(dir, "log"))
			t.Logf("log:\n%s", log)
		}
	})
	for _, n := range servers {
		w.open(t, n)
		t.Cleanup(func() { w.shut(n) })
	}
	return w
}

// patient replaces the timeouts of a configuration. They become so long that no check times out on
// a busy guest. Only if a server fails by losing its address, a check waits for its timeout. In
// that case the timeout is 4 s.
func patient(text []byte, fail string) []byte {
	seconds := "60"
	if fail == "address" {
		seconds = "4"
	}
	return regexp.MustCompile(`(check|negotiate)timeout=\d+`).ReplaceAll(text, []byte("${1}timeout="+seconds))
}

// addresses adds IPv4 and IPv6 addresses to eth0, in one process. numbers are the last numbers of
// the addresses.
func addresses(t *testing.T, dir string, numbers ...int) {
	t.Helper()
	lines := ""
	for _, n := range numbers {
		lines += fmt.Sprintf("addr add 192.0.2.%d/24 dev eth0\naddr add 2001:db8::%d/64 dev eth0 nodad\n", n, n)
	}
	file := filepath.Join(dir, fmt.Sprintf("addresses%d", numbers[0]))
	if err := os.WriteFile(file, []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	kerneltest.Run(t, "ip -batch "+file)
}

// open makes a real server listen on its ports.
func (w *world) open(t *testing.T, n int) {
	w.peer.Do(func() {
		for _, addr := range []string{fmt.Sprintf("192.0.2.%d", n), fmt.Sprintf("[2001:db8::%d]", n)} {
			for _, port := range []string{":80", ":8080"} {
				listener, err := net.Listen("tcp", addr+port)
				if err != nil {
					t.Fatal(err)
				}
				w.mu.Lock()
				w.listeners[n] = append(w.listeners[n], listener)
				w.mu.Unlock()
				go func() { _ = (&http.Server{Handler: http.HandlerFunc(page)}).Serve(listener) }()
			}
		}
	})
}

func (w *world) shut(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, listener := range w.listeners[n] {
		_ = listener.Close()
	}
	w.listeners[n] = nil
}

func page(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Connection", "close")
	switch {
	case r.URL.Path == "/" || r.URL.Path == "/index.html":
		fmt.Fprintln(w, "Test Page", r.Context().Value(http.LocalAddrContextKey))
	case r.URL.Path == "/"+lab.HealthPage, r.URL.Path == "/vhost" && r.Host == "www.example.org":
		fmt.Fprintln(w, "OK")
	default:
		http.NotFound(w, r)
	}
}

// reach makes real servers fail or recover, so that the case reaches the named state.
func (w *world) reach(t *testing.T, state string) {
	switch state {
	case "one failed":
		w.down(t, 21)
	case "all failed":
		for _, n := range servers[1:] {
			w.down(t, n)
		}
	case "recovered":
		for _, n := range servers {
			w.up(t, n)
		}
	}
}

func (w *world) perlPIDFile() string { return "/run/ldirectord." + w.name + ".cf.pid" }

// terminate ends the Perl program with a signal. The command "ldirectord FILE stop" would start
// Perl a second time, which takes too long in the guest.
func (w *world) terminate(t *testing.T) {
	path := w.perlPIDFile()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err == nil {
		err = syscall.Kill(pid, syscall.SIGTERM)
	}
	if err != nil {
		t.Fatal(err)
	}
	lab.Wait(t, time.Minute, "end of ldirectord", func() error {
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s exists: %w", path, err)
		}
		return nil
	})
}

// mark returns the path of the file that makes a real server fail its checks.
func (w *world) mark(n int) string {
	if name, found := strings.CutPrefix(w.fail, "maintenance "); found {
		names := strings.NewReplacer("ADDRESS", fmt.Sprintf("192.0.2.%d", n), "IPV6", fmt.Sprintf("2001:db8::%d", n))
		return filepath.Join(w.dir, "maintenance", names.Replace(name))
	}
	return fmt.Sprintf("%s/down-%d", w.dir, n)
}

func (w *world) down(t *testing.T, n int) {
	switch w.fail {
	case "":
		w.shut(n)
	case "address":
		w.peer.Do(func() { kerneltest.Run(t, fmt.Sprintf("ip addr del 192.0.2.%d/24 dev eth0", n)) })
	default:
		if err := os.WriteFile(w.mark(n), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func (w *world) up(t *testing.T, n int) {
	switch w.fail {
	case "":
		w.open(t, n)
	case "address":
		w.peer.Do(func() { kerneltest.Run(t, fmt.Sprintf("ip addr add 192.0.2.%d/24 dev eth0", n)) })
	default:
		if err := os.Remove(w.mark(n)); err != nil {
			t.Fatal(err)
		}
	}
}

// exec runs a program on the director, and returns its exit code and output.
func (w *world) exec(t *testing.T, name string, args ...string) (code int, out string) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.WaitDelay = 5 * time.Second
	cmd.Env = w.environ()
	text, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(text)
}

func (w *world) environ() []string {
	environ := []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	if w.real {
		return environ
	}
	return append(environ, "LVS_AGENTS_STATE_DIR="+w.dir+"/lvs-agents")
}

// command returns a command for the director with the environment of our programs. The caller must
// start it.
func (w *world) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Env = w.environ()
	return cmd
}

func (w *world) run(t *testing.T, want int, name string, args ...string) string {
	t.Helper()
	code, out := w.exec(t, name, args...)
	if code != want {
		t.Errorf("%s %s: exit code %d, want %d: %s", name, strings.Join(args, " "), code, want, out)
	}
	return out
}

// table returns the IPVS table: the sorted output of ipvsadm -Sn, and lines with the connection
// thresholds, which ipvsadm does not print.
func (w *world) table(t *testing.T) string {
	t.Helper()
	lines := slices.Collect(strings.Lines(w.run(t, 0, "ipvsadm", "-Sn")))
	slices.Sort(lines)
	for _, v := range w.kernelTable(t) {
		for _, d := range v.Destinations {
			if d.Upper != 0 || d.Lower != 0 {
				lines = append(lines, fmt.Sprintf("# -r %s -x %d -y %d\n", d.Addr, d.Upper, d.Lower))
			}
		}
	}
	return strings.Join(lines, "")
}

func (w *world) kernelTable(t *testing.T) lvs.Table {
	t.Helper()
	table, err := w.kernel.Table(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// look returns the IPVS table without connection thresholds. Unlike table, it starts no process, so
// tests can call it often.
func (w *world) look(t *testing.T) string {
	t.Helper()
	return sorted(w.kernelTable(t))
}

func sorted(table lvs.Table) string {
	for _, v := range table {
		for i := range v.Destinations {
			v.Destinations[i].Upper, v.Destinations[i].Lower = 0, 0
		}
	}
	lines := slices.Collect(strings.Lines(table.String()))
	slices.Sort(lines)
	return strings.Join(lines, "")
}

// monitored changes a configuration for the recording. The Perl program then logs each of its
// checks (monitorfile). Its rounds of checks have a longer pause, because the checks take most of
// the guest's CPU.
func monitored(text []byte) []byte {
	slow := strings.Replace(string(text), "checkinterval=1", "checkinterval=2", 1)
	if strings.Contains(slow, "monitorfile=") {
		return []byte(slow)
	}
	return []byte(regexp.MustCompile(`(?m)^virtual6?\s*=.*\n`).ReplaceAllString(slow, "$0\tmonitorfile=@DIR@/monitor\n"))
}

// These constants decide when the Perl program has reached its final table for a state. rounds is
// how often it must have repeated every check without a change of the table: the largest
// failurecount of the cases, plus one for a check that was already running. The table must also
// stay unchanged for the time still. Some checks are not logged, for example checktype=on and a
// ping without a reply. For these checks, the test waits for the time long instead.
const (
	rounds = 4
	still  = 5 * time.Second
	long   = 25 * time.Second
)

// settle waits until the Perl program has reached its final table for the current state.
func (w *world) settle(t *testing.T) {
	since, before, made := time.Now(), w.look(t), w.made(t)
	for time.Since(since) < still || time.Since(since) < long && w.perlRuns() && !repeated(made, w.made(t)) {
		<-time.After(300 * time.Millisecond)
		if now := w.look(t); now != before {
			since, before, made = time.Now(), now, w.made(t)
		}
	}
}

func (w *world) perlRuns() bool {
	_, err := os.Stat(w.perlPIDFile())
	return err == nil
}

// made returns how many checks the Perl program has logged, by the text that names the check.
func (w *world) made(t *testing.T) map[string]int {
	text, err := os.ReadFile(filepath.Join(w.dir, "monitor"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	count := map[string]int{}
	for _, line := range regexp.MustCompile(`(?m)^\[.*?\] \[\d+\] (.*?) \[(up|down)\]`).FindAllStringSubmatch(string(text), -1) {
		count[line[1]]++
	}
	return count
}

// repeated reports whether the Perl program repeated each check at least rounds times between the
// two counts.
func repeated(before, now map[string]int) bool {
	for what, n := range now {
		if n < before[what]+rounds {
			return false
		}
	}
	return len(now) > 0
}

// expect waits until the IPVS table is want. Then it checks that the table stays the same for two
// rounds of checks. In the state "stopped" it does not wait, because no daemon runs.
func (w *world) expect(t *testing.T, state, want string) {
	t.Helper()
	stays := 2200 * time.Millisecond
	if state == "stopped" {
		stays = 0
	}
	commands, _, _ := strings.Cut(want, "# ")
	parsed, err := lvs.ParseTable(commands)
	if err != nil {
		t.Fatal(err)
	}
	text := sorted(parsed)
	limit := time.Now().Add(time.Minute)
	for since := time.Now(); time.Now().Before(limit); <-time.After(200 * time.Millisecond) {
		if w.look(t) != text {
			since = time.Now()
		} else if time.Since(since) >= stays {
			break
		}
	}
	if diff := cmp.Diff(want, w.table(t)); diff != "" {
		t.Errorf("%s (-ldirectord +directord):\n%s", state, diff)
	}
}

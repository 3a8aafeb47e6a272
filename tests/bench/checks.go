package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"
)

// realServers is the number of real servers that each checker checks once a second, with each
// protocol. After warmUp, the benchmark measures the checker for the time measured. directord and
// keepalived run in turns, each one rounds times.
const (
	realServers = 300
	warmUp      = 3 * time.Second
	measured    = 5 * time.Second
	rounds      = 5
)

// outside and inside are the two addresses of the cable between the test host and the lab. servers
// is the network with the addresses of the real servers, which the test host serves.
const (
	outside = "198.18.0.1"
	inside  = "198.18.0.2"
	servers = "198.19.0.0/16"
)

// begins and ends are the first words of the lines that the lab prints around each measurement.
const (
	begins = "begins"
	ends   = "ends"
)

// checks compares the CPU time that directord uses for a check with the CPU time that keepalived
// uses. The real servers run outside the lab, and the benchmark measures the lab from outside. The
// clock of user-mode Linux cannot measure its own processes exactly: it charges a whole tick of 10
// ms to the process that runs at the tick. So a checker that wakes up just before a tick pays too
// much, and a checker that wakes up just after it pays nothing. The real servers count the checks,
// so that the mean includes no check that was only planned.
func checks(bin string) error {
	out, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(out) }()
	self, err := os.Executable()
	if err != nil {
		return err
	}
	for _, args := range []string{
		"link set lo up", "tuntap add dev tap0 mode tap", "addr add " + outside + "/24 dev tap0", "link set tap0 up",
		"route add local " + servers + " dev lo",
	} {
		if err := quiet(append([]string{"ip"}, strings.Fields(args)...)); err != nil {
			return err
		}
	}
	listener, err := net.Listen("tcp", "0.0.0.0:8080")
	if err != nil {
		return err
	}
	var asked atomic.Int64
	go serve(listener, &asked)
	lab := exec.Command("tests/lab/run", "-i", "tap0", out, self, "checked", bin)
	lab.Stderr = os.Stderr
	said, err := lab.StdoutPipe()
	if err != nil {
		return err
	}
	if err := lab.Start(); err != nil {
		return err
	}
	costs, err := listen(said, lab.Process.Pid, &asked)
	if err := errors.Join(err, lab.Wait()); err != nil {
		return err
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
	fmt.Fprintf(w, "checks of %d real servers, once a second, from the lab's kernel\n\ncheck\tprogram\tchecks a second\tCPU per check\ttimes less\n", realServers)
	idle := costs[program{nothing, nothing}]
	var missed error
	for _, kind := range kinds {
		ours, theirs := costs[program{kind, "directord"}].without(idle), costs[program{kind, "keepalived"}].without(idle)
		times := float64(theirs.perCheck()) / float64(ours.perCheck())
		fmt.Fprintf(w, "%s\tdirectord\t%.0f\t%s\t%.2f\n", kind, ours.rate(), ours.perCheck(), times)
		fmt.Fprintf(w, "%s\tkeepalived\t%.0f\t%s\n", kind, theirs.rate(), theirs.perCheck())
		for name, u := range map[string]use{"directord": ours, "keepalived": theirs} {
			if u.rate() < realServers*0.9 {
				missed = errors.Join(missed, fmt.Errorf("%s made %.0f %s checks a second of %d real servers", name, u.rate(), kind, realServers))
			}
		}
		if times < 1 {
			missed = errors.Join(missed, fmt.Errorf("a %s check costs %.2f times what it costs keepalived", kind, 1/times))
		}
	}
	fmt.Fprintln(w)
	return errors.Join(w.Flush(), missed)
}

// program identifies a measurement: the kind of its checks (TCP or HTTP) and the name of the
// checker.
type program struct{ kind, name string }

// use is the result of a measurement: the number of checks, the length of the measurement, and the
// CPU time that the lab used.
type use struct {
	checks    int64
	span, cpu time.Duration
}

func (u use) without(idle use) use {
	u.cpu -= time.Duration(float64(idle.cpu) * float64(u.span) / float64(idle.span))
	return u
}

func (u use) rate() float64           { return float64(u.checks) / u.span.Seconds() }
func (u use) perCheck() time.Duration { return u.cpu / time.Duration(max(1, u.checks)) }

// listen reads the output of the lab. For each program it sums the CPU time of the lab between a
// line "begins" and the next line "ends".
func listen(said io.Reader, lab int, asked *atomic.Int64) (map[program]use, error) {
	uses := map[program]use{}
	began := time.Now()
	var before use
	lines := bufio.NewScanner(said)
	for lines.Scan() {
		word, rest, _ := strings.Cut(lines.Text(), " ")
		if word != begins && word != ends {
			continue
		}
		cpu, err := cpuOf(lab)
		if err != nil {
			return nil, err
		}
		now := use{asked.Load(), time.Since(began), cpu}
		if word == begins {
			before = now
			continue
		}
		var p program
		if _, err := fmt.Sscan(rest, &p.kind, &p.name); err != nil {
			return nil, fmt.Errorf("%q: %w", lines.Text(), err)
		}
		u := uses[p]
		uses[p] = use{u.checks + now.checks - before.checks, u.span + now.span - before.span, u.cpu + now.cpu - before.cpu}
	}
	return uses, lines.Err()
}

// cpuOf returns the CPU time of a process and of all its descendants, also of descendants that have
// ended. It uses the exact clock of the kernel's scheduler.
func cpuOf(lab int) (time.Duration, error) {
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0, err
	}
	parents, ended := map[int]int{}, map[int]time.Duration{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // the process has ended
		}
		// The fields of /proc/PID/stat (proc_pid_stat(5)) are the pid, the program's name in
		// parentheses, and 50 words. The name can contain any character.
		var pid int
		name := strings.LastIndex(string(text), ")")
		_, err = fmt.Sscan(string(text), &pid)
		words := strings.Fields(string(text)[name+1:])
		if err != nil || len(words) < 15 {
			return 0, fmt.Errorf("%s: %q", file, text)
		}
		parent, err := strconv.Atoi(words[1])
		user, err2 := strconv.Atoi(words[13])
		system, err3 := strconv.Atoi(words[14])
		if err := errors.Join(err, err2, err3); err != nil {
			return 0, err
		}
		parents[pid], ended[pid] = parent, time.Duration(user+system)*time.Second/100 // USER_HZ
	}
	var sum time.Duration
	for pid := range parents {
		for above := pid; above != 0; above = parents[above] {
			if above == lab {
				sum += clock(pid) + ended[pid]
			}
		}
	}
	return sum, nil
}

// clock returns the CPU time of a process. It returns zero if the process has ended.
func clock(pid int) time.Duration {
	// The number of a process's CPU clock, as clock_getcpuclockid(3) builds it; scheduler is
	// CPUCLOCK_SCHED of the kernel.
	const scheduler = 2
	var used unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|scheduler), &used); err != nil {
		return 0
	}
	return time.Duration(used.Nano())
}

// serve is the web server of all real servers. It sends a page for each request and counts the
// connections.
func serve(listener net.Listener, asked *atomic.Int64) {
	for {
		c, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // The checker has reset the connection after its check, as expected.
		}
		asked.Add(1)
		go func() {
			defer func() { _ = c.Close() }()
			if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nOK\n") // a write error is normal: the checker can have closed the connection
			}
		}()
	}
}

package main

import (
	"bufio"
	"bytes"
	"context"
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
	"syscall"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"
)

// Measured for each checker and protocol: so many real servers, each asked
// once a second, for so long after a warm-up, in turns with the other checker.
//
// The mean of many starts counts. The guest's kernel knows what a process has
// used by looking at each clock tick what runs, and a checker wakes up always
// at the same distance from the ticks: one start alone may be seen at all of
// its work or at none.
const (
	realServers = 300
	warmUp      = 3 * time.Second
	measured    = 5 * time.Second
	rounds      = 8
)

// checks compares the CPU time that a check costs with keepalived's. Checks
// are counted by the servers, so that none is paid for that was not made.
func checks(bin string) error {
	if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		return fmt.Errorf("ip link: %w: %s", err, out)
	}
	var asked atomic.Int64
	listener, err := net.Listen("tcp", "0.0.0.0:8080")
	if err != nil {
		return err
	}
	go serve(listener, &asked)
	w := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
	fmt.Fprintf(w, "checks of %d real servers, once a second, in the lab's kernel\n\ncheck\tprogram\tchecks a second\tCPU per check\ttimes less\n", realServers)
	for _, kind := range []string{"TCP", "HTTP"} {
		var ours, theirs perCheck
		for range rounds {
			if err := ours.add(&asked, directord(bin, kind)); err != nil {
				return err
			}
			if err := theirs.add(&asked, keepalived(kind)); err != nil {
				return err
			}
		}
		fmt.Fprintf(w, "%s\tdirectord\t%.0f\t%s\t%.2f\n", kind, ours.rate, ours.cpu, float64(theirs.cpu)/float64(ours.cpu))
		fmt.Fprintf(w, "%s\tkeepalived\t%.0f\t%s\n", kind, theirs.rate, theirs.cpu)
	}
	fmt.Fprintln(w)
	return w.Flush()
}

// serve answers whoever asks for a page and counts who connects.
func serve(listener net.Listener, asked *atomic.Int64) {
	for {
		c, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // a connection that was reset before
		}
		asked.Add(1)
		go func() {
			defer func() { _ = c.Close() }()
			if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nOK\n") // it may have hung up
			}
		}()
	}
}

// checker is a program that checks all real servers.
type checker struct {
	name   string
	file   string // name of its configuration
	config string
	argv   func(dir string) []string
}

func realServer(n int) string { return fmt.Sprintf("127.10.%d.%d", n/250, n%250+1) }

func directord(bin, kind string) checker {
	var b strings.Builder
	fmt.Fprintf(&b, "checkinterval=1\nchecktimeout=3\nlogfile=\"/dev/null\"\nvirtual=192.0.2.10:8080\n")
	for n := range realServers {
		fmt.Fprintf(&b, "\treal=%s:8080 masq\n", realServer(n))
	}
	if kind == "HTTP" {
		b.WriteString("\tservice=http\n\trequest=\"/health\"\n")
	} else {
		b.WriteString("\tchecktype=connect\n")
	}
	return checker{"directord", "bench.cf", b.String(), func(dir string) []string {
		return []string{bin + "/directord", "-d", filepath.Join(dir, "bench.cf"), "start"}
	}}
}

func keepalived(kind string) checker {
	var b strings.Builder
	b.WriteString("global_defs {\n  script_user nobody\n}\nvirtual_server 192.0.2.10 8080 {\n  delay_loop 1\n  lb_algo rr\n  lb_kind NAT\n  protocol TCP\n")
	for n := range realServers {
		fmt.Fprintf(&b, "  real_server %s 8080 {\n", realServer(n))
		if kind == "HTTP" {
			b.WriteString("    HTTP_GET {\n      url {\n        path /health\n        status_code 200\n      }\n      connect_timeout 3\n    }\n  }\n")
		} else {
			b.WriteString("    TCP_CHECK {\n      connect_timeout 3\n    }\n  }\n")
		}
	}
	b.WriteString("}\n")
	return checker{"keepalived", "keepalived.conf", b.String(), func(dir string) []string {
		return []string{"keepalived", "-C", "-n", "-l", "-f", filepath.Join(dir, "keepalived.conf"),
			"-p", filepath.Join(dir, "pid"), "-c", filepath.Join(dir, "checkers.pid")}
	}}
}

// perCheck is what a check costs.
type perCheck struct {
	rate float64
	cpu  time.Duration
}

// add measures once more, as one of all rounds.
func (p *perCheck) add(asked *atomic.Int64, c checker) error {
	found, err := checkCost(asked, c)
	p.rate += found.rate / rounds
	p.cpu += found.cpu / rounds
	return err
}

func checkCost(asked *atomic.Int64, c checker) (perCheck, error) {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return perCheck{}, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := os.WriteFile(filepath.Join(dir, c.file), []byte(c.config), 0o644); err != nil {
		return perCheck{}, err
	}
	argv := c.argv(dir)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HA_RSCTMP=" + dir}
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		return perCheck{}, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	defer func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		<-ended
	}()
	if err := during(ended, warmUp); err != nil {
		return perCheck{}, fmt.Errorf("%s: %w: %s", c.name, err, said.String())
	}
	count, before, err := asked.Load(), time.Duration(0), error(nil)
	if before, err = cpuOf(cmd.Process.Pid); err != nil {
		return perCheck{}, err
	}
	began := time.Now()
	if err := during(ended, measured); err != nil {
		return perCheck{}, fmt.Errorf("%s: %w: %s", c.name, err, said.String())
	}
	after, err := cpuOf(cmd.Process.Pid)
	done := asked.Load() - count
	if err == nil && done == 0 {
		err = fmt.Errorf("%s made no check: %s", c.name, said.String())
	}
	if err != nil {
		return perCheck{}, err
	}
	return perCheck{float64(done) / time.Since(began).Seconds(), (after - before) / time.Duration(done)}, nil
}

// during waits, and fails if a program ends meanwhile.
func during(ended chan error, span time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), span)
	defer cancel()
	select {
	case err := <-ended:
		ended <- err
		return fmt.Errorf("it ended: %w", err)
	case <-ctx.Done():
		return nil
	}
}

// cpuOf is the CPU time of a process and its children so far, by the
// scheduler's own count.
func cpuOf(pid int) (time.Duration, error) {
	const scheduler = 2 // CPUCLOCK_SCHED of the kernel; clock_getcpuclockid(3) makes the number like this
	var used unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|scheduler), &used); err != nil {
		return 0, fmt.Errorf("CPU clock of process %d: %w", pid, err)
	}
	sum := time.Duration(used.Nano())
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return 0, err
	}
	for child := range strings.FieldsSeq(string(children)) {
		number, err := strconv.Atoi(child)
		if err != nil {
			return 0, err
		}
		more, err := cpuOf(number)
		if err != nil {
			return 0, err
		}
		sum += more
	}
	return sum, nil
}

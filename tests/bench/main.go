// Bench runs our agents and the programs that they replace, in turns, and prints the median cost of
// a run. It also prints ratios, because absolute times depend on the test host:
//
//	bench native   vip and IPaddr2, in a network namespace with eth0
//	bench guest    ipvs with two services and a Go program that does nothing
//	bench large    ipvs and ipvsadm with 10,000 destinations, in the lab's kernel
//	bench scrape   lvsctl serve and node_exporter, 10 and 10,000 real servers, in the lab's kernel
//	bench dialers  checks with the dialers of package epoll and package net, in an empty namespace
//	bench checks   directord's and keepalived's checks in the lab, which it starts
//
// "tests/run bench" calls each of these commands in the network namespace or in the kernel that it
// needs.
package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"
)

func main() {
	if len(os.Args) != 3 {
		fail(fmt.Errorf("usage: bench native|guest|large|scrape|dialers|checks BINDIR"))
	}
	bin, err := filepath.Abs(os.Args[2])
	if err != nil {
		fail(err)
	}
	switch os.Args[1] {
	case "native":
		err = native(bin)
	case "guest":
		err = guest(bin)
	case "large":
		err = large(bin)
	case "scrape":
		err = scrape(bin)
	case "restore":
		err = restore(os.Args[2])
	case "dialers":
		err = dialers()
	case "dialing":
		err = dialing(os.Args[2])
	case "checks":
		err = checks(bin)
	case "checked":
		err = checked(bin)
	}
	if err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "bench:", err)
	os.Exit(1)
}

// subject is a command whose cost is measured, and the exit code that it must return.
type subject struct {
	name string
	argv []string
	env  []string
	code int
	// before and after are commands that run before and after each measured run of argv. Their cost
	// is not measured.
	before, after []string
}

// cost is the wall-clock time and the CPU time of one run of a command.
type cost struct{ wall, cpu time.Duration }

// row is one comparison. The last subject is the reference for the other subjects.
type row struct {
	title    string
	rounds   int
	subjects []subject
	// begin runs once before the first round of the row, and end once after the last round.
	begin, end []string
	// least is the smallest accepted ratio of two wall-clock times: the last subject's divided by
	// the first subject's. With zero every ratio is accepted.
	least float64
}

func guest(bin string) error {
	state, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	env := []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "OCF_RESOURCE_INSTANCE=web", "LVS_AGENTS_STATE_DIR=" + state + "/lvs-agents",
		"OCF_RESKEY_virtual=192.0.2.10:80 192.0.2.10:443", "OCF_RESKEY_real=192.0.2.21 gate, 192.0.2.22 gate", "OCF_RESKEY_scheduler=rr"}
	start := exec.Command(bin+"/ipvs", "start")
	start.Env = env
	if out, err := start.CombinedOutput(); err != nil {
		return fmt.Errorf("ipvs start: %w: %s", err, out)
	}
	empty := subject{name: "empty Go program", argv: []string{bin + "/tests/empty"}}
	return table("ipvs with two services, in the lab's kernel", []row{
		{title: "monitor, running", rounds: 60, subjects: []subject{{name: "ipvs", argv: []string{bin + "/ipvs", "monitor"}, env: env}, empty}},
		{title: "meta-data", rounds: 60, subjects: []subject{{name: "ipvs", argv: []string{bin + "/ipvs", "meta-data"}, env: env}, empty}},
		{title: "list the table", rounds: 60, subjects: []subject{{name: "ipvsadm -Ln", argv: []string{"ipvsadm", "-Ln"}, env: env}, empty}},
	})
}

func table(title string, rows []row) error {
	w := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
	fmt.Fprintf(w, "%s\n\naction\tprogram\twall median\tCPU median\tprograms started\twall, times less\tCPU, times less\n", title)
	var missed error
	for _, r := range rows {
		costs, err := measure(r)
		if err != nil {
			return err
		}
		last := len(r.subjects) - 1
		for i, s := range r.subjects {
			children, err := programs(r, s)
			if err != nil {
				return err
			}
			ratio := "\t"
			if i < last {
				times := float64(costs[last].wall) / float64(costs[i].wall)
				ratio = fmt.Sprintf("%.2f\t%.2f", times, float64(costs[last].cpu)/float64(costs[i].cpu))
				if times < r.least {
					missed = errors.Join(missed, fmt.Errorf("%s: %s takes %.2f times less than %s, not %.0f", r.title, s.name, times, r.subjects[last].name, r.least))
				}
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%s\n", r.title, s.name, round(costs[i].wall), round(costs[i].cpu), children, ratio)
		}
	}
	fmt.Fprintln(w)
	return errors.Join(w.Flush(), missed)
}

func round(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }

// measure runs the subjects in turns, so that other load on the test host affects all of them
// alike.
func measure(r row) ([]cost, error) {
	if err := quiet(r.begin); err != nil {
		return nil, err
	}
	walls, cpus := make([][]time.Duration, len(r.subjects)), make([][]time.Duration, len(r.subjects))
	for range r.rounds {
		for i, s := range r.subjects {
			c, err := s.run()
			if err != nil {
				return nil, err
			}
			walls[i], cpus[i] = append(walls[i], c.wall), append(cpus[i], c.cpu)
		}
	}
	costs := make([]cost, len(r.subjects))
	for i := range costs {
		costs[i] = cost{median(walls[i]), median(cpus[i])}
	}
	return costs, quiet(r.end)
}

func median[T cmp.Ordered](values []T) T {
	slices.Sort(values)
	return values[len(values)/2]
}

func (s subject) run() (cost, error) {
	if err := quiet(s.before); err != nil {
		return cost{}, err
	}
	cmd := exec.Command(s.argv[0], s.argv[1:]...)
	cmd.Env = s.env
	// The error output of a subject goes to a file, not to a pipe. IPaddr2 leaves a sender in the
	// background, which would keep a pipe open.
	stderr, err := os.CreateTemp("", "bench")
	if err != nil {
		return cost{}, err
	}
	defer func() { _ = os.Remove(stderr.Name()) }()
	defer stderr.Close()
	cmd.Stderr = stderr
	begin := time.Now()
	err = cmd.Run()
	wall := time.Since(begin)
	if code := cmd.ProcessState.ExitCode(); code != s.code {
		text, _ := os.ReadFile(stderr.Name())
		return cost{}, fmt.Errorf("%v: exit code %d instead of %d (%w): %s", s.argv, code, s.code, err, text)
	}
	usage := cmd.ProcessState.SysUsage().(*syscall.Rusage) // includes its children
	return cost{wall, time.Duration(usage.Utime.Nano() + usage.Stime.Nano())}, quiet(s.after)
}

func quiet(argv []string) error {
	if argv == nil {
		return nil
	}
	out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%v: %w: %s", argv, err, out)
	}
	return nil
}

// programs counts the child processes that a subject starts. It counts the calls of clone and fork
// with strace, but not threads.
func programs(r row, s subject) (int, error) {
	if err := errors.Join(quiet(r.begin), quiet(s.before)); err != nil {
		return 0, err
	}
	cmd := exec.Command("strace", append([]string{"-f", "-qq", "-e", "signal=none", "-e", "trace=clone,clone3,fork,vfork"}, s.argv...)...)
	cmd.Env = s.env
	var trace bytes.Buffer
	cmd.Stderr = &trace
	_ = cmd.Run() // strace returns the exit code of the subject, and programs needs only strace's output
	count := 0
	for line := range strings.Lines(trace.String()) {
		call := strings.Contains(line, "clone") || strings.Contains(line, "fork(")
		if call && !strings.Contains(line, "CLONE_THREAD") && !strings.Contains(line, "resumed") {
			count++
		}
	}
	return count, errors.Join(quiet(s.after), quiet(r.end))
}

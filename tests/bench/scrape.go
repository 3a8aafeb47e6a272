package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"lvs-agents/internal/control"
)

// scrapes is how often each address is read.
const scrapes = 20

// Addresses where the programs listen, in the lab's guest.
const (
	lvsctlAddress   = "127.0.0.1:9946"
	exporterAddress = "127.0.0.1:9100"
)

// scrape measures lvsctl serve with 10 and with 10,000 real servers in the lab's kernel. The
// reference is the ipvs collector of node_exporter, which reads only the kernel.
func scrape(bin string) error {
	w := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
	fmt.Fprint(w, "scrapes, in the lab's kernel\n\nreal servers\tprogram\tseries\tbytes\twall median\tCPU for each\n")
	for _, servers := range []int{10, 10000} {
		if err := scrapeTable(w, bin, servers); err != nil {
			return err
		}
	}
	fmt.Fprintln(w)
	return w.Flush()
}

// scrapeTable writes one service with real servers into the kernel, and measures both programs.
func scrapeTable(w io.Writer, bin string, servers int) error {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	saved := filepath.Join(dir, "rules")
	if err := writeLarge(filepath.Join(dir, "web.cf"), saved, 1, servers); err != nil {
		return err
	}
	if err := quiet([]string{"sh", "-c", "ipvsadm -C && ipvsadm -R <" + saved}); err != nil {
		return err
	}
	stop, err := standIn(dir, servers)
	if err != nil {
		return err
	}
	defer stop()
	env := append(os.Environ(), "LVS_AGENTS_STATE_DIR="+dir)
	for _, p := range []struct {
		argv  []string
		paths []string
	}{
		{[]string{bin + "/lvsctl", "serve", "--listen", lvsctlAddress}, []string{lvsctlAddress + "/metrics", lvsctlAddress + "/metrics?servers=1", lvsctlAddress + "/"}},
		{[]string{"prometheus-node-exporter", "--collector.disable-defaults", "--collector.ipvs", "--web.disable-exporter-metrics", "--web.listen-address=" + exporterAddress}, []string{exporterAddress + "/metrics"}},
	} {
		if err := scrapeProgram(w, p.argv, env, p.paths, servers); err != nil {
			return err
		}
	}
	return nil
}

// standIn takes the place of a health daemon. All its real servers are good.
func standIn(dir string, servers int) (stop func(), err error) {
	listener, err := control.Listen(dir, "web")
	if err != nil {
		return nil, err
	}
	service := control.Service{ID: "-t 192.0.2.1:80", Scheduler: "wrr"}
	for j := range servers {
		service.Reals = append(service.Reals, control.Real{Addr: fmt.Sprintf("198.51.%d.%d:80", j/250, 1+j%250), Forward: "gate", Weight: 1, Configured: 1, Verdict: "good", Since: time.Now()})
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		_ = control.Serve(ctx, listener, onlyStatus{snapshot: control.Snapshot{ID: "web", Limit: 10, Services: []control.Service{service}}}, new(control.Feed))
		close(ended)
	}()
	return func() {
		cancel()
		<-ended
	}, nil
}

// onlyStatus is a daemon that replies only to requests for the status.
type onlyStatus struct {
	control.Daemon
	snapshot control.Snapshot
}

// Snapshot implements control.Daemon.
func (s onlyStatus) Snapshot(context.Context) (control.Snapshot, error) { return s.snapshot, nil }

// scrapeProgram runs a program, and writes a row for each path that it serves.
func scrapeProgram(w io.Writer, argv, env, paths []string, servers int) error {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = env
	var output bytes.Buffer
	cmd.Stderr = &output
	if err := cmd.Start(); err != nil {
		return err
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	for _, path := range paths {
		text, err := first(path)
		if err != nil {
			return fmt.Errorf("%w: %s", err, &output)
		}
		walls := make([]time.Duration, scrapes)
		before, err := used(cmd.Process.Pid)
		if err != nil {
			return err
		}
		for i := range walls {
			begin := time.Now()
			if _, err := read(path); err != nil {
				return err
			}
			walls[i] = time.Since(begin)
		}
		after, err := used(cmd.Process.Pid)
		if err != nil {
			return err
		}
		_, name, _ := strings.Cut(path, "/")
		fmt.Fprintf(w, "%d\t%s /%s\t%d\t%d\t%s\t%s\n", servers, filepath.Base(argv[0]), name, series(text), len(text), round(median(walls)), round((after-before)/scrapes))
	}
	return nil
}

// first reads a path until the program listens.
func first(path string) (string, error) {
	var text string
	var err error
	for range 100 {
		if text, err = read(path); err == nil {
			return text, nil
		}
		<-time.After(100 * time.Millisecond)
	}
	return "", err
}

func read(path string) (string, error) {
	response, err := http.Get("http://" + path)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", path, response.Status)
	}
	return string(text), err
}

// series counts the series of a scrape. Other pages have none.
func series(text string) int {
	n := 0
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "lvs_") || strings.HasPrefix(line, "node_") {
			n++
		}
	}
	return n
}

// used returns the CPU time of a process (proc(5), /proc/PID/stat, fields 14 and 15).
func used(pid int) (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	const tick = 10 * time.Millisecond
	var sum time.Duration
	for _, field := range fields[11:13] {
		ticks, err := strconv.Atoi(field)
		if err != nil {
			return 0, err
		}
		sum += time.Duration(ticks) * tick
	}
	return sum, nil
}

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// nothing is the name that the benchmark prints for a lab without a checker. The CPU time of this
// lab is subtracted from the CPU time of each checker.
const nothing = "nothing"

var kinds = []string{"TCP", "HTTP"}

// checked runs each checker in the lab, one after another. It prints a line at the beginning and at
// the end of each measurement. At each line, the function listen, which runs outside the lab, reads
// the CPU time.
func checked(bin string) error {
	for _, args := range []string{"addr add " + inside + "/24 dev vec0", "link set vec0 up", "route add " + servers + " via " + outside} {
		if err := quiet(append([]string{"ip"}, strings.Fields(args)...)); err != nil {
			return err
		}
	}
	for range rounds {
		if err := span(nil, nothing, nothing); err != nil {
			return err
		}
		for _, kind := range kinds {
			for _, c := range []checker{directord(bin, kind), keepalived(kind)} {
				if err := c.run(kind); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// checker is a program, directord or keepalived, that checks all real servers of the benchmark.
type checker struct {
	name   string
	file   string // name of its configuration
	config string
	argv   func(dir string) []string
}

func realServer(n int) string { return fmt.Sprintf("198.19.%d.%d", n/250, n%250+1) }

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

// run starts a checker, waits until the warm-up is over, measures the checker, and stops it.
func (c checker) run(kind string) error {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := os.WriteFile(filepath.Join(dir, c.file), []byte(c.config), 0o644); err != nil {
		return err
	}
	argv := c.argv(dir)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LVS_AGENTS_STATE_DIR=" + dir + "/lvs-agents"}
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	defer func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // Signal returns an error if the checker has already ended
		<-ended
	}()
	if err := during(ended, warmUp); err != nil {
		return fmt.Errorf("%s: %w: %s", c.name, err, said.String())
	}
	if err := span(ended, kind, c.name); err != nil {
		return fmt.Errorf("%s: %w: %s", c.name, err, said.String())
	}
	return nil
}

// span prints the begin and the end of one measurement, and waits between the two lines.
func span(ended chan error, kind, name string) error {
	fmt.Println(begins)
	if err := during(ended, measured); err != nil {
		return err
	}
	fmt.Println(ends, kind, name)
	return nil
}

// during waits for the duration span. If the checker ends before that time, during returns an
// error.
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

//go:build perl

package checks

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"lvs-agents/tests/lab"
)

// TestPerl runs the Perl program ldirectord against the same servers, in a separate process for
// each situation. It prints the verdicts of ldirectord, and marks verdicts that differ from the
// verdicts of our checks. It takes minutes and needs Perl libraries that are optional, so it has a
// build tag: go test -tags perl -run TestPerl ./tests/checks.
func TestPerl(t *testing.T) {
	startAll(t)
	var lock sync.Mutex
	rows := map[string]string{}
	all := subjects()
	t.Run("all", func(t *testing.T) {
		slots := make(chan struct{}, 6)
		for i, c := range all {
			for _, s := range situations() {
				t.Run(c.name+"/"+s.name, func(t *testing.T) {
					t.Parallel()
					text := s.make(t, c, i)
					if text == "" || c.name == "udp" || strings.Contains(s.name, "verify=") {
						return
					}
					slots <- struct{}{}
					verdict := perl(t, text)
					<-slots
					lock.Lock()
					defer lock.Unlock()
					rows[c.name+" | "+s.name] = verdict
				})
			}
		}
	})
	for _, c := range all {
		for _, s := range situations() {
			verdict, asked := rows[c.name+" | "+s.name]
			ours := map[bool]string{true: "up", false: "down"}[c.expected(s.name)]
			if asked && !strings.HasPrefix(verdict, ours+" ") {
				fmt.Printf("DIFF %s | %s | ours %s | ldirectord %s\n", c.name, s.name, ours, verdict)
			}
			if asked {
				fmt.Printf("PERL %s | %s | %s\n", c.name, s.name, verdict)
			}
		}
	}
}

// perl runs ldirectord once with a configuration. It returns the verdict and the time that it took.
// The verdict is up, down, dead (ldirectord ended) or none.
func perl(t *testing.T, text string) string {
	t.Helper()
	const timeout = 40 * time.Second
	dir := t.TempDir()
	var lines []string
	for line := range strings.Lines(text) {
		if !strings.Contains(line, "verify=") {
			lines = append(lines, line)
		}
	}
	monitor := filepath.Join(dir, "monitor")
	config := "checktimeout=2\nnegotiatetimeout=2\ncheckinterval=1\n" + strings.Join(lines, "") + "\tmonitorfile=" + monitor + "\n# end\n"
	if err := os.WriteFile(filepath.Join(dir, "l.cf"), []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	// With the option -d, ldirectord starts the ipvsadm in its own directory. The test puts a
	// script there that does nothing.
	if err := os.WriteFile(filepath.Join(dir, "ipvsadm"), []byte("#!/bin/sh\nexit 0\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(lab.PerlProgram(t), "-d", filepath.Join(dir, "l.cf"), "start")
	cmd.Dir = dir
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	began := time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	defer func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }()
	verdict := regexp.MustCompile(`\[(up|down)\] (.*)`)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-ended:
			tail := strings.TrimSpace(said.String())
			return fmt.Sprintf("dead after %.1f s: %v: %.200s", time.Since(began).Seconds(), err, tail[strings.LastIndex(tail, "\n")+1:])
		case <-tick.C:
		}
		seen, _ := os.ReadFile(monitor)
		if found := verdict.FindStringSubmatch(string(seen)); found != nil {
			return fmt.Sprintf("%s after %.1f s %.100s", found[1], time.Since(began).Seconds(), found[2])
		}
		if time.Since(began) > timeout {
			return fmt.Sprintf("none after %.0f s", timeout.Seconds())
		}
	}
}

package main

import (
	"errors"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"

	"lvs-agents/internal/config"
	"lvs-agents/internal/health"
	"lvs-agents/internal/logsink"
	"lvs-agents/internal/lvs"
)

func silent() *logrus.Logger {
	log := logrus.New()
	log.SetOutput(io.Discard)
	return log
}

// TestFallbackCommandsKeepTheirOrder although the first takes its time.
func TestFallbackCommandsKeepTheirOrder(t *testing.T) {
	dir := t.TempDir()
	program, out := filepath.Join(dir, "sorry"), filepath.Join(dir, "out")
	if err := os.WriteFile(program, []byte("#!/bin/sh\n[ \"$2\" != start ] || sleep 0.2\necho \"$@\" >>"+out+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	p := newPrograms(silent(), nil)
	s := health.Service{FallbackCommand: []string{program, "-q"}}
	s.ID = lvs.AddrService(lvs.UDP, netip.MustParseAddrPort("192.0.2.10:53"))
	p.serving(s, false)
	p.serving(s, true)
	s.ID = lvs.MarkService(5, false)
	const want = "-q start 192.0.2.10:53 udp\n-q stop 192.0.2.10:53 udp\n"
	for limit := time.Now().Add(30 * time.Second); ; {
		text, _ := os.ReadFile(out)
		if string(text) == want {
			break
		}
		if time.Now().After(limit) {
			t.Fatalf("got %s", text)
		}
		<-time.After(10 * time.Millisecond)
	}
	p.serving(s, false)
	for limit := time.Now().Add(30 * time.Second); ; {
		text, _ := os.ReadFile(out)
		if string(text) == want+"-q start :0 fwm\n" {
			break
		}
		if time.Now().After(limit) {
			t.Fatalf("got %s", text)
		}
		<-time.After(10 * time.Millisecond)
	}
}

// TestFallbackCommandsOfAFlappingService run for the newest state only, one at a time.
func TestFallbackCommandsOfAFlappingService(t *testing.T) {
	dir := t.TempDir()
	program, out, gate := filepath.Join(dir, "sorry"), filepath.Join(dir, "out"), filepath.Join(dir, "gate")
	text := "echo $1 >>" + out + "\nwhile [ ! -e " + gate + " ]; do sleep 0.05; done\n" // without #!
	if err := os.WriteFile(program, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	p := newPrograms(silent(), nil)
	s := health.Service{FallbackCommand: []string{program}}
	s.ID = lvs.AddrService(lvs.TCP, netip.MustParseAddrPort("192.0.2.10:80"))
	wait := func(want string) {
		t.Helper()
		for limit := time.Now().Add(time.Minute); ; <-time.After(10 * time.Millisecond) {
			text, _ := os.ReadFile(out)
			if string(text) == want {
				return
			}
			if time.Now().After(limit) {
				t.Fatalf("got %q, want %q", text, want)
			}
		}
	}
	p.serving(s, false)
	wait("start\n")
	for range 6 {
		p.serving(s, true)
		p.serving(s, false)
	}
	p.serving(s, true)
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	idle := func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(p.fallbacks) == 0
	}
	wait("start\nstop\n")
	for limit := time.Now().Add(time.Minute); !idle() && time.Now().Before(limit); <-time.After(10 * time.Millisecond) {
		continue
	}
	if text, _ := os.ReadFile(out); string(text) != "start\nstop\n" {
		t.Errorf("got %q", text)
	}
}

func TestMonitorLine(t *testing.T) {
	real := health.Real{Destination: lvs.Destination{Addr: netip.MustParseAddrPort("10.0.0.2:80"), Forward: lvs.Route, Weight: 1}}
	real.Probe = health.Probe{Check: config.Check{Type: config.Negotiate, Application: "http", Request: "index.html", Receive: `Test\s Page`}, Addr: real.Addr}
	s := health.Service{}
	s.ID = lvs.AddrService(lvs.TCP, netip.MustParseAddrPort("192.0.2.10:80"))
	if got, want := identityOf(s, real), "negotiate http tcp 10.0.0.2 80 1 gate /index.html Tests Page"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	real.Probe = health.Probe{Check: config.Check{Type: config.External, Command: "/bin/check"}, Addr: real.Addr}
	s.ID = lvs.MarkService(5, false)
	if got, want := identityOf(s, real), "external /bin/check fwm 10.0.0.2 80 1 gate"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got, want := outcome(errors.New(strings.Repeat("x", 299)+"ä")), "[down] "+strings.Repeat("x", 299); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got, want := outcome(errors.New("100%|\r\nx")), "[down] 100%25%7c%0d%0ax"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestMaintenanceNames(t *testing.T) {
	real := netip.MustParseAddrPort("192.0.2.21:80")
	six := netip.MustParseAddrPort("[2001:db8::21]:80")
	m := maintenance{hosts: map[netip.Addr]hostname{
		real.Addr(): {"rs1.example.org", time.Now().Add(time.Hour)}, six.Addr(): {"", time.Now().Add(time.Hour)},
	}}
	tests := []struct {
		file string
		real netip.AddrPort
		want bool
	}{
		{"192.0.2.21", real, true}, {"192.0.2.21:80", real, true}, {"192.0.2.21:81", real, false}, {"192.0.2.2", real, false},
		{"rs1.example.org", real, true}, {"rs1.example.org:80", real, true}, {"rs1", real, true}, {"rs1:80", real, true}, {"rs1:8080", real, false}, {"rs2", real, false},
		{"[2001:db8::21]", six, true}, {"[2001:db8::21]:80", six, true}, {"2001:db8::21", six, true}, {"rs1", six, false},
	}
	for _, tt := range tests {
		if got := m.named(t.Context(), map[string]bool{tt.file: true}, tt.real); got != tt.want {
			t.Errorf("%s for %s: %t", tt.file, tt.real, got)
		}
	}
}

// TestMonitorFileThatIsAPipe does not wait for a reader.
func TestMonitorFileThatIsAPipe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "monitorfile")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := logsink.Append(path, permissions, "line\n"); err == nil || err.Error() != path+" is a pipe" {
		t.Errorf("got %v", err)
	}
}

package directord

import (
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"lvs-agents/internal/health"
	"lvs-agents/internal/lvs"
)

func silent() *logrus.Logger {
	log := logrus.New()
	log.SetOutput(io.Discard)
	return log
}

// TestFallbackCommandsKeepTheirOrder checks that the commands of a service run in the order of its
// states. The first command is slow.
func TestFallbackCommandsKeepTheirOrder(t *testing.T) {
	dir := t.TempDir()
	program, out := filepath.Join(dir, "sorry"), filepath.Join(dir, "out")
	if err := os.WriteFile(program, []byte("#!/bin/sh\n[ \"$2\" != start ] || sleep 0.2\necho \"$@\" >>"+out+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	p := newPrograms(silent(), os.Environ(), nil)
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

// TestFallbackCommandsOfAFlappingService checks that one command runs at a time. After it, a
// command runs for the newest state only.
func TestFallbackCommandsOfAFlappingService(t *testing.T) {
	dir := t.TempDir()
	program, out, gate := filepath.Join(dir, "sorry"), filepath.Join(dir, "out"), filepath.Join(dir, "gate")
	text := "echo $1 >>" + out + "\nwhile [ ! -e " + gate + " ]; do sleep 0.05; done\n" // a script without a #! line
	if err := os.WriteFile(program, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	p := newPrograms(silent(), os.Environ(), nil)
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
		return len(p.running) == 0
	}
	wait("start\nstop\n")
	for limit := time.Now().Add(time.Minute); !idle() && time.Now().Before(limit); <-time.After(10 * time.Millisecond) {
		continue
	}
	if text, _ := os.ReadFile(out); string(text) != "start\nstop\n" {
		t.Errorf("got %q", text)
	}
}

package directord

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"
)

// TestSystemd checks that a daemon notifies systemd of its states, and notifies the watchdog.
func TestSystemd(t *testing.T) {
	s := newSite(t)
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: s.path("notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = socket.Close() })
	t.Setenv("NOTIFY_SOCKET", s.path("notify"))
	t.Setenv("WATCHDOG_USEC", "300000")
	next := func(want string) {
		t.Helper()
		if err := socket.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
			t.Fatal(err)
		}
		for {
			text := make([]byte, 200)
			n, err := socket.Read(text)
			if err != nil {
				t.Fatalf("no %s: %v", want, err)
			}
			got, _, _ := strings.Cut(string(text[:n]), "\n")
			if got == want {
				return
			}
			if got != "WATCHDOG=1" {
				t.Fatalf("got %s, want %s", got, want)
			}
		}
	}
	s.write(s.service("192.0.2.10:80", "127.0.0.1"))
	s.serve()
	next("READY=1")
	next("WATCHDOG=1")
	if code, out := s.run("reload"); code != 0 {
		t.Errorf("%d %s", code, out)
	}
	next("RELOADING=1")
	next("READY=1")
	if code := s.stop(); code != 0 {
		t.Error(fmt.Sprint("exit code ", code))
	}
	next("STOPPING=1")
}

// TestSystemdThatDoesNotRead checks that notifications do not wait long if systemd does not read
// them.
func TestSystemdThatDoesNotRead(t *testing.T) {
	s := newSite(t)
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: s.path("notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = socket.Close() })
	t.Setenv("NOTIFY_SOCKET", s.path("notify"))
	to := systemd{silent()}
	began := time.Now()
	// Send notifications until one must wait, because the socket is full.
	for took := time.Duration(0); took < notifyTimeout; took = time.Since(began) {
		to.ready()
	}
	if took := time.Since(began); took > 10*notifyTimeout {
		t.Errorf("took %v", took)
	}
}

package logsink

import (
	"errors"
	"log/syslog"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

func TestWriteThatDoesNotEndIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan error)
		var calls atomic.Int32
		write := func() error { calls.Add(1); return <-hang }
		b := Bounded{Limit: time.Second}
		began := time.Now()
		for range 3 {
			if err := b.Do(write); !errors.Is(err, ErrTimedOut) {
				t.Errorf("got %v", err)
			}
		}
		if took := time.Since(began); took != b.Limit || calls.Load() != 1 {
			t.Errorf("took %s, %d calls", took, calls.Load())
		}
		hang <- nil
		synctest.Wait()
		full := errors.New("full")
		if err := b.Do(func() error { return full }); !errors.Is(err, full) {
			t.Errorf("after the write has ended: %v", err)
		}
	})
}

func TestPipeIsNotALogFile(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "log")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	want := pipe + " is a pipe"
	if err := Append(pipe, 0o600, "a\n"); err == nil || err.Error() != want {
		t.Errorf("without a reader: got %v, want %s", err, want)
	}
	socket := filepath.Join(t.TempDir(), "socket")
	if _, err := new(net.ListenConfig).Listen(t.Context(), "unix", socket); err != nil {
		t.Fatal(err)
	}
	if err := Append(socket, 0o600, "a\n"); err == nil || err.Error() != "open "+socket+": no such device or address" {
		t.Errorf("a socket: got %v", err)
	}
	reader, err := os.OpenFile(pipe, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = reader.Close() }()
	if err := Append(pipe, 0o600, "a\n"); err == nil || err.Error() != want {
		t.Errorf("with a reader: got %v, want %s", err, want)
	}
}

func TestLinesAreAppended(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	for _, line := range []string{"a\n", "b\n"} {
		if err := Append(path, 0o600, line); err != nil {
			t.Fatal(err)
		}
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "a\nb\n" {
		t.Errorf("%q, %v", text, err)
	}
	if err := Append("/proc/none/log", 0o600, "a\n"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func TestFacilities(t *testing.T) {
	for name, want := range map[string]syslog.Priority{"kern": 0, "ftp": 11 << 3, "LOCAL0": 16 << 3, "local7": 23 << 3} {
		if got, known := Facility(name); !known || got != want {
			t.Errorf("%s: %d, %v", name, got, known)
		}
	}
	if _, known := Facility("local8"); known {
		t.Error("local8 is known")
	}
	if names := Facilities(); len(names) != 20 || names[12] != "local0" {
		t.Errorf("%q", names)
	}
}

package compat

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestLogLineIsLdirectords(t *testing.T) {
	file := filepath.Join(t.TempDir(), "log")
	sink := NewLog("web", os.Stderr)
	sink.To(file)
	sink.reasons = true
	log := sink.Logger(false)
	log.WithField("reason", "status 404 Not Found").Info("Quiescent real server: 192.0.2.21:80 (192.0.2.10:80) (Weight set to 0)")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	const want = "] Quiescent real server: 192.0.2.21:80 (192.0.2.10:80) (Weight set to 0) (status 404 Not Found)\n"
	if got := string(text); !strings.HasPrefix(got, "[") || !strings.Contains(got, "|web|") || !strings.HasSuffix(got, want) {
		t.Errorf("line %q", got)
	}
	var out strings.Builder
	sink.reasons = false
	sink.Foreground(&out, true)
	log.WithField("reason", "x").Info("Deleted real server: 192.0.2.21:80 (192.0.2.10:80)")
	if got := out.String(); !strings.HasPrefix(got, "[") || !strings.HasSuffix(got, "] Deleted real server: 192.0.2.21:80 (192.0.2.10:80)\n") || strings.Contains(got, "|") {
		t.Errorf("supervised: %q", got)
	}
	sink.Foreground(nil, false)
	if err := sink.Try(); err != nil {
		t.Error(err)
	}
	sink.To("/proc/none/log")
	if err := sink.Try(); err == nil || err.Error() != "open /proc/none/log: no such file or directory" {
		t.Error(err)
	}
	sink.To("nowhere")
	var errs strings.Builder
	sink.stderr = &errs
	log.Info("x")
	if want := "x (log: logfile=nowhere is neither an absolute path nor a syslog facility)\n"; errs.String() != want {
		t.Errorf("got %q", errs.String())
	}
}

// TestLogThatIsAPipe checks that lines go to stderr if the log file is a pipe. The daemon does not
// wait for a reader of the pipe.
func TestLogThatIsAPipe(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "log")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	var errs strings.Builder
	sink := NewLog("web", &errs)
	sink.To(pipe)
	log := sink.Logger(false)
	log.Info("without a reader")
	reader, err := os.OpenFile(pipe, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = reader.Close() }()
	log.Info("with one")
	want := fmt.Sprintf("without a reader (log: %[1]s is a pipe)\nwith one (log: %[1]s is a pipe)\n", pipe)
	if got := errs.String(); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if err := sink.Try(); err == nil {
		t.Error("a pipe passes for a log file")
	}
}

// TestStandardErrorThatHangs checks that a blocked stderr delays no line for long.
func TestStandardErrorThatHangs(t *testing.T) {
	reader, writer := io.Pipe()
	defer func() { _ = reader.Close() }()
	sink := NewLog("web", writer)
	sink.Foreground(writer, false)
	log := sink.Logger(false)
	began := time.Now()
	for range 100 {
		log.Info("one")
	}
	if took := time.Since(began); took > 20*logTimeout {
		t.Errorf("took %v", took)
	}
}

// TestLogThatHangs checks that lines are lost while the output is blocked, and that later lines are
// written again.
func TestLogThatHangs(t *testing.T) {
	reader, writer := io.Pipe()
	var errs strings.Builder
	sink := NewLog("web", &errs)
	sink.Foreground(writer, false)
	log := sink.Logger(false)
	log.Info("one")
	log.Info("two")
	if got, want := errs.String(), "one (log: write timed out; lines are lost)\ntwo (log: write timed out; lines are lost)\n"; got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	lines := bufio.NewReader(reader)
	if line, _ := lines.ReadString('\n'); line != "one\n" {
		t.Errorf("got %q", line)
	}
	ended := make(chan string)
	go func() {
		line, _ := lines.ReadString('\n')
		ended <- line
	}()
	for {
		log.Info("three")
		select {
		case line := <-ended:
			if line != "three\n" {
				t.Errorf("got %q", line)
			}
			return
		default:
		}
	}
}

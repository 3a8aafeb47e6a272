package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"lvs-agents/internal/disk"
	"lvs-agents/internal/logsink"
)

// defaultLog is ldirectord's.
const defaultLog = "/var/log/ldirectord.log"

// stamp is the date of ldirectord's log lines.
const stamp = "Mon Jan _2 15:04:05 2006"

// logSink writes lines where ldirectord does: to a file that is opened for each
// line, so that it may be rotated, to a syslog facility, or in the foreground to
// an output.
type logSink struct {
	instance string    // in each line of a file
	stderr   io.Writer // where lines go that cannot be written elsewhere
	reasons  bool      // lines end with the reason, which ldirectord's do not

	mu     sync.Mutex
	output io.Writer // takes the place of target; nil for not
	dated  bool      // lines to output begin with the date
	target string
	writes logsink.Bounded // to target or output
	errors logsink.Bounded // to stderr

	syslog logsink.Syslog // belongs to the one write at a time
}

// logTimeout is how long a write can take.
const logTimeout = time.Second

// permissions are those of a new log file.
const permissions = 0o644

func newLogSink(instance string, stderr io.Writer) *logSink {
	bounded := logsink.Bounded{Limit: logTimeout}
	return &logSink{instance: instance, stderr: stderr, target: defaultLog, writes: bounded, errors: bounded}
}

// to sets the logfile of a configuration.
func (s *logSink) to(target string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if target == "" {
		target = defaultLog
	}
	s.target = target
}

// try reports whether the log file can be written. A syslog that does not run yet
// is no reason not to start.
func (s *logSink) try() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.output != nil || !filepath.IsAbs(s.target) {
		return nil
	}
	target := s.target
	err := s.writes.Do(func() error {
		file, err := logsink.Open(target, permissions)
		if err != nil {
			return err
		}
		return file.Close()
	})
	if errors.Is(err, logsink.ErrTimedOut) {
		return fmt.Errorf("%s: %w", target, disk.ErrSilent)
	}
	return err
}

// foreground sends lines to an output from now on.
func (s *logSink) foreground(output io.Writer, dated bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.output, s.dated = output, dated
}

// Levels implements logrus.Hook.
func (s *logSink) Levels() []logrus.Level { return logrus.AllLevels }

// Fire implements logrus.Hook.
func (s *logSink) Fire(e *logrus.Entry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.writes.Do(s.writeLocked(e)); err != nil {
		text := fmt.Sprintf("%s (log: %v)\n", e.Message, err)
		_ = s.errors.Do(func() error { // there is no other place for it
			_, err := io.WriteString(s.stderr, text)
			return err
		})
	}
	return nil
}

// writeLocked returns the write of a line, which needs no lock.
func (s *logSink) writeLocked(e *logrus.Entry) func() error {
	message := strings.ReplaceAll(strings.TrimRight(e.Message, "\n"), "\n", " ") // output of programs has several lines
	if e.Level >= logrus.DebugLevel {
		message = fmt.Sprintf("DEBUG%d: %s %v", e.Level-logrus.DebugLevel+2, message, e.Data)
	}
	if reason, ok := e.Data["reason"]; ok && s.reasons {
		message += fmt.Sprintf(" (%v)", reason)
	}
	output, target, level, line := s.output, s.target, e.Level, ""
	switch {
	case output != nil && s.dated:
		line = fmt.Sprintf("[%s] %s\n", e.Time.Format(stamp), message)
	case output != nil:
		line = message + "\n"
	case !filepath.IsAbs(target):
		return func() error { return s.toSyslog(target, level, message) }
	default:
		line = fmt.Sprintf("[%s|%s|%d] %s\n", e.Time.Format(stamp), s.instance, os.Getpid(), message)
		return func() error { return logsink.Append(target, permissions, line) }
	}
	return func() error {
		_, err := io.WriteString(output, line)
		return err
	}
}

func (s *logSink) toSyslog(name string, level logrus.Level, message string) error {
	facility, known := logsink.Facility(name)
	if !known {
		return fmt.Errorf("logfile=%s is neither an absolute path nor a syslog facility", name)
	}
	return s.syslog.Write(facility, "ldirectord", level, message)
}

// newLogger logs to the sink.
func newLogger(sink *logSink, debug bool) *logrus.Logger {
	log := logrus.New()
	log.SetOutput(io.Discard)
	log.AddHook(sink)
	if debug {
		log.SetLevel(logrus.DebugLevel)
	}
	return log
}

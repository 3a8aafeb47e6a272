package compat

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

// defaultLog is the log file of ldirectord.
const defaultLog = "/var/log/ldirectord.log"

// dateFormat is the date of ldirectord's lines.
const dateFormat = "Mon Jan _2 15:04:05 2006"

// Log writes lines where ldirectord does: to a file, to a syslog facility, or in the
// foreground to an output. It opens the file for each line, so that the file can be
// rotated. NewLog makes it.
type Log struct {
	instance string    // in each line of a file
	reasons  bool      // lines end with the reason
	stderr   io.Writer // gets the lines that cannot be written elsewhere

	mu     sync.Mutex
	output io.Writer // replaces target if it is not nil
	dated  bool      // lines to output begin with the date
	target string
	writes logsink.Bounded // to target or output
	errors logsink.Bounded // to stderr

	syslog logsink.Syslog // only the current write uses it
}

// logTimeout is how long a write can take.
const logTimeout = time.Second

// permissions are the mode of a new log file.
const permissions = 0o644

// NewLog returns the log of an instance. It writes to the log file of ldirectord. Lines that it
// cannot write there go to stderr.
func NewLog(instance string, stderr io.Writer) *Log {
	bounded := logsink.Bounded{Limit: logTimeout}
	return &Log{instance: instance, stderr: stderr, target: defaultLog, writes: bounded, errors: bounded}
}

// WithReasons makes lines end with the reason, which the lines of ldirectord do not have.
func (l *Log) WithReasons() *Log {
	l.reasons = true
	return l
}

// To sets the logfile of a configuration; empty for the log file of ldirectord.
func (l *Log) To(target string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if target == "" {
		target = defaultLog
	}
	l.target = target
}

// Try returns an error if the log file cannot be written. A syslog daemon that does not run yet is
// not an error.
func (l *Log) Try() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.output != nil || !filepath.IsAbs(l.target) {
		return nil
	}
	target := l.target
	err := l.writes.Do(func() error {
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

// Foreground sends lines to an output instead, dated or not.
func (l *Log) Foreground(output io.Writer, dated bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.output, l.dated = output, dated
}

// Levels implements logrus.Hook.
func (l *Log) Levels() []logrus.Level { return logrus.AllLevels }

// Fire implements logrus.Hook.
func (l *Log) Fire(e *logrus.Entry) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.writes.Do(l.writeLocked(e)); err != nil {
		text := fmt.Sprintf("%s (log: %v)\n", e.Message, err)
		_ = l.errors.Do(func() error { // there is no other place for it
			_, err := io.WriteString(l.stderr, text)
			return err
		})
	}
	return nil
}

// writeLocked returns the write of a line, which needs no lock.
func (l *Log) writeLocked(e *logrus.Entry) func() error {
	message := strings.ReplaceAll(strings.TrimRight(e.Message, "\n"), "\n", " ") // output of programs has several lines
	if e.Level >= logrus.DebugLevel {
		message = fmt.Sprintf("DEBUG%d: %s %v", e.Level-logrus.DebugLevel+2, message, e.Data)
	}
	if reason, ok := e.Data["reason"]; ok && l.reasons {
		message += fmt.Sprintf(" (%v)", reason)
	}
	output, target, level, line := l.output, l.target, e.Level, ""
	switch {
	case output != nil && l.dated:
		line = fmt.Sprintf("[%s] %s\n", e.Time.Format(dateFormat), message)
	case output != nil:
		line = message + "\n"
	case !filepath.IsAbs(target):
		return func() error { return l.toSyslog(target, level, message) }
	default:
		line = fmt.Sprintf("[%s|%s|%d] %s\n", e.Time.Format(dateFormat), l.instance, os.Getpid(), message)
		return func() error { return logsink.Append(target, permissions, line) }
	}
	return func() error {
		_, err := io.WriteString(output, line)
		return err
	}
}

func (l *Log) toSyslog(name string, level logrus.Level, message string) error {
	facility, known := logsink.Facility(name)
	if !known {
		return fmt.Errorf("logfile=%s is neither an absolute path nor a syslog facility", name)
	}
	return l.syslog.Write(facility, "ldirectord", level, message)
}

// Logger returns a logger that writes here, with debug lines or without.
func (l *Log) Logger(debug bool) *logrus.Logger {
	log := logrus.New()
	log.SetOutput(io.Discard)
	log.AddHook(l)
	if debug {
		log.SetLevel(logrus.DebugLevel)
	}
	return log
}

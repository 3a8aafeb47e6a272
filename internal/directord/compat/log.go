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

// dateFormat is the format of the date in ldirectord's log lines.
const dateFormat = "Mon Jan _2 15:04:05 2006"

// Log writes lines to the places where ldirectord writes them: to a file, to a syslog facility, or
// in the foreground to an output. Log opens the file for each line, so that another program can
// rotate the file. NewLog returns a Log.
type Log struct {
	instance string    // instance is the name of the instance in each line of a log file.
	reasons  bool      // reasons says that each line ends with the reason of its event.
	stderr   io.Writer // stderr gets the lines that cannot be written to target or output.

	mu sync.Mutex
	// output is the output of a daemon in the foreground. Nil means that lines go to target.
	output io.Writer
	dated  bool // dated says that the lines to output begin with the date.
	target string
	writes logsink.Bounded // writes limits the time of writes to target or output.
	errors logsink.Bounded // errors limits the time of writes to stderr.

	// syslog is the connection to the syslog daemon. Only the current write uses it.
	syslog logsink.Syslog
}

// logTimeout is how long the write of one line can take.
const logTimeout = time.Second

// permissions is the mode of a new log file.
const permissions = 0o644

// NewLog returns a Log for an instance, which writes to the log file of ldirectord. Lines that
// cannot be written there go to stderr.
func NewLog(instance string, stderr io.Writer) *Log {
	bounded := logsink.Bounded{Limit: logTimeout}
	return &Log{instance: instance, stderr: stderr, target: defaultLog, writes: bounded, errors: bounded}
}

// WithReasons adds the reason of an event to the end of each line. ldirectord's own lines have no
// reason.
func (l *Log) WithReasons() *Log {
	l.reasons = true
	return l
}

// To sets the target from the directive logfile of a configuration. An empty target means the log
// file of ldirectord.
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

// Foreground makes the Log write to an output instead of its target. With dated, each line begins
// with the date.
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
		_ = l.errors.Do(func() error { // An error of this write is ignored, because there is no other place for the line.
			_, err := io.WriteString(l.stderr, text)
			return err
		})
	}
	return nil
}

// writeLocked returns a function that writes a line. The caller has the mutex, but the function
// runs without it.
func (l *Log) writeLocked(e *logrus.Entry) func() error {
	// The output of a program can have several lines. The log entry is one line.
	message := strings.ReplaceAll(strings.TrimRight(e.Message, "\n"), "\n", " ")
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

// Logger returns a logger that writes to this Log, with or without debug lines.
func (l *Log) Logger(debug bool) *logrus.Logger {
	log := logrus.New()
	log.SetOutput(io.Discard)
	log.AddHook(l)
	if debug {
		log.SetLevel(logrus.DebugLevel)
	}
	return log
}

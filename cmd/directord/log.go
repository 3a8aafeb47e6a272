package main

import (
	"fmt"
	"io"
	"log/syslog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/sirupsen/logrus"

	"lvs-agents/internal/config"
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
	writer *syslog.Writer
}

func newLogSink(instance string, stderr io.Writer) *logSink {
	return &logSink{instance: instance, stderr: stderr, target: defaultLog}
}

// to sets the logfile of a configuration.
func (s *logSink) to(target string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if target == "" {
		target = defaultLog
	}
	if target != s.target && s.writer != nil {
		_ = s.writer.Close() // nothing is buffered
		s.writer = nil
	}
	s.target = target
}

// try tells whether the log file can be written. A syslog that does not run yet
// is no reason not to start.
func (s *logSink) try() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.output != nil || !filepath.IsAbs(s.target) {
		return nil
	}
	file, err := os.OpenFile(s.target, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	return file.Close()
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
	if err := s.writeLocked(e); err != nil {
		fmt.Fprintf(s.stderr, "%s (log: %v)\n", e.Message, err)
	}
	return nil
}

func (s *logSink) writeLocked(e *logrus.Entry) error {
	message := strings.ReplaceAll(strings.TrimRight(e.Message, "\n"), "\n", " ") // output of programs has several lines
	if e.Level >= logrus.DebugLevel {
		message = fmt.Sprintf("DEBUG%d: %s %v", e.Level-logrus.DebugLevel+2, message, e.Data)
	}
	if reason, ok := e.Data["reason"]; ok && s.reasons {
		message += fmt.Sprintf(" (%v)", reason)
	}
	switch {
	case s.output != nil && s.dated:
		_, err := fmt.Fprintf(s.output, "[%s] %s\n", e.Time.Format(stamp), message)
		return err
	case s.output != nil:
		_, err := fmt.Fprintln(s.output, message)
		return err
	case !filepath.IsAbs(s.target):
		return s.syslogLocked(e.Level, message)
	}
	file, err := os.OpenFile(s.target, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(file, "[%s|%s|%d] %s\n", e.Time.Format(stamp), s.instance, os.Getpid(), message)
	if closed := file.Close(); err == nil {
		err = closed
	}
	return err
}

func (s *logSink) syslogLocked(level logrus.Level, message string) (err error) {
	if s.writer == nil {
		// The numbers of the facilities skip four between ftp and local0 (rfc5424).
		number := slices.Index(config.Facilities(), strings.ToLower(s.target))
		if number < 0 {
			return fmt.Errorf("logfile=%s is neither an absolute path nor a syslog facility", s.target)
		}
		if number > 11 {
			number += 4
		}
		if s.writer, err = syslog.New(syslog.Priority(number)<<3|syslog.LOG_INFO, "ldirectord"); err != nil {
			return err
		}
	}
	switch level {
	case logrus.PanicLevel, logrus.FatalLevel, logrus.ErrorLevel:
		return s.writer.Err(message)
	case logrus.WarnLevel:
		return s.writer.Warning(message)
	case logrus.InfoLevel:
		return s.writer.Info(message)
	case logrus.DebugLevel, logrus.TraceLevel:
	}
	return s.writer.Debug(message)
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

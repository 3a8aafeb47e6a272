package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/syslog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"

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
	stuck  <-chan error // ends the write that did not end in time; nil for none
	lost   <-chan error // the same for stderr

	syslog syslogSink // belongs to the one write at a time
}

// logPatience bounds a write: a log that hangs costs lines, not checks.
const logPatience = time.Second

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
	file, err := openLog(s.target)
	if err != nil {
		return err
	}
	return file.Close()
}

// openLog opens a log file to append. A pipe would wait for its reader.
func openLog(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY|unix.O_NONBLOCK, 0o644)
	if errors.Is(err, unix.ENXIO) { // nobody reads it
		return nil, fmt.Errorf("%s is a pipe", path)
	}
	if err != nil {
		return nil, err
	}
	if info, err := file.Stat(); err != nil || info.Mode()&os.ModeNamedPipe != 0 {
		_ = file.Close()
		return nil, cmp.Or(err, fmt.Errorf("%s is a pipe", path))
	}
	return file, nil
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
	if err := boundedLocked(&s.stuck, s.writeLocked(e)); err != nil {
		text := fmt.Sprintf("%s (log: %v)\n", e.Message, err)
		_ = boundedLocked(&s.lost, func() error { // nobody is left to be told
			_, err := io.WriteString(s.stderr, text)
			return err
		})
	}
	return nil
}

// boundedLocked writes unless an earlier write, stuck, hangs still.
func boundedLocked(stuck *<-chan error, write func() error) error {
	if *stuck != nil {
		select {
		case <-*stuck:
			*stuck = nil
		default:
			return errHangs
		}
	}
	ended := make(chan error, 1)
	go func() { ended <- write() }()
	select {
	case err := <-ended:
		return err
	case <-time.After(logPatience):
		*stuck = ended
		return errHangs
	}
}

var errHangs = errors.New("it hangs; lines are lost")

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
		return func() error { return s.syslog.write(target, level, message) }
	default:
		line = fmt.Sprintf("[%s|%s|%d] %s\n", e.Time.Format(stamp), s.instance, os.Getpid(), message)
		return func() error { return appendLine(target, line) }
	}
	return func() error {
		_, err := io.WriteString(output, line)
		return err
	}
}

func appendLine(path, line string) error {
	file, err := openLog(path)
	if err != nil {
		return err
	}
	_, err = file.WriteString(line)
	return cmp.Or(err, file.Close())
}

// syslogSink is one facility at a time.
type syslogSink struct {
	facility string
	writer   *syslog.Writer
}

func (s *syslogSink) write(facility string, level logrus.Level, message string) (err error) {
	if facility != s.facility && s.writer != nil {
		_ = s.writer.Close() // nothing is buffered
		s.writer = nil
	}
	if s.writer == nil {
		// The numbers of the facilities skip four between ftp and local0 (rfc5424).
		number := slices.Index(config.Facilities(), strings.ToLower(facility))
		if number < 0 {
			return fmt.Errorf("logfile=%s is neither an absolute path nor a syslog facility", facility)
		}
		if number > 11 {
			number += 4
		}
		if s.writer, err = syslog.New(syslog.Priority(number)<<3|syslog.LOG_INFO, "ldirectord"); err != nil {
			return err
		}
		s.facility = facility
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

package main

import (
	"fmt"
	"io"
	"log/syslog"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/sirupsen/logrus"
)

// defaultLog is ldirectord's.
const defaultLog = "/var/log/ldirectord.log"

// logSink writes lines where ldirectord does: a file that is opened for each
// line, so that it may be rotated, or a syslog facility.
type logSink struct {
	id     string
	stderr io.Writer // where lines go that cannot be written elsewhere

	mu     sync.Mutex
	target string
	writer *syslog.Writer
}

func newLogSink(id string, stderr io.Writer) *logSink {
	return &logSink{id: id, stderr: stderr, target: defaultLog}
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
	message := e.Message
	if reason, ok := e.Data["reason"]; ok {
		message += fmt.Sprintf(" (%v)", reason)
	}
	if !filepath.IsAbs(s.target) {
		return s.syslogLocked(e.Level, message)
	}
	file, err := os.OpenFile(s.target, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(file, "[%s|%s|%d] %s\n", e.Time.Format("Mon Jan _2 15:04:05 2006"), s.id, os.Getpid(), message)
	if closed := file.Close(); err == nil {
		err = closed
	}
	return err
}

func (s *logSink) syslogLocked(level logrus.Level, message string) (err error) {
	if s.writer == nil {
		facility, ok := facilities[strings.ToLower(s.target)]
		if !ok {
			return fmt.Errorf("logfile=%s is neither an absolute path nor a syslog facility", s.target)
		}
		if s.writer, err = syslog.New(facility|syslog.LOG_INFO, "ldirectord"); err != nil {
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

var facilities = map[string]syslog.Priority{
	"kern": syslog.LOG_KERN, "user": syslog.LOG_USER, "mail": syslog.LOG_MAIL, "daemon": syslog.LOG_DAEMON,
	"auth": syslog.LOG_AUTH, "syslog": syslog.LOG_SYSLOG, "lpr": syslog.LOG_LPR, "news": syslog.LOG_NEWS,
	"uucp": syslog.LOG_UUCP, "cron": syslog.LOG_CRON, "authpriv": syslog.LOG_AUTHPRIV, "ftp": syslog.LOG_FTP,
	"local0": syslog.LOG_LOCAL0, "local1": syslog.LOG_LOCAL1, "local2": syslog.LOG_LOCAL2, "local3": syslog.LOG_LOCAL3,
	"local4": syslog.LOG_LOCAL4, "local5": syslog.LOG_LOCAL5, "local6": syslog.LOG_LOCAL6, "local7": syslog.LOG_LOCAL7,
}

// newLogger logs to the sink, and with debug everything to stderr instead.
func newLogger(sink *logSink, debug bool) *logrus.Logger {
	log := logrus.New()
	if debug {
		log.SetOutput(sink.stderr)
		log.SetLevel(logrus.DebugLevel)
		return log
	}
	log.SetOutput(io.Discard)
	log.AddHook(sink)
	return log
}

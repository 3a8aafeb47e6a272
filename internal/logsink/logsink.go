// Package logsink writes log lines to files and to syslog, and limits the time of writes (Bounded).
// So if a disk or a syslog daemon hangs, lines are lost, but checks and stop actions continue. The
// callers format the lines: package ocf and the health daemon.
package logsink

import (
	"cmp"
	"errors"
	"fmt"
	"log/syslog"
	"os"
	"strings"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"
)

// ErrTimedOut is the error of a write that did not end in time, and of all later writes until that
// write ends.
var ErrTimedOut = errors.New("write timed out; lines are lost")

// Bounded limits the time of writes to one output. Only one goroutine can use a Bounded at a time.
type Bounded struct {
	// Limit is how long a write can take. The caller must set it.
	Limit time.Duration

	// pending receives the result of the write that timed out. It is nil if no write timed out, or
	// after that write has ended.
	pending <-chan error
}

// Do runs a write and returns its error, or ErrTimedOut. A write that timed out continues in its
// goroutine. Until that write ends, Do runs no other write.
func (b *Bounded) Do(write func() error) error {
	if b.pending != nil {
		select {
		case <-b.pending:
			b.pending = nil
		default:
			return ErrTimedOut
		}
	}
	ended := make(chan error, 1)
	go func() { ended <- write() }()
	select {
	case err := <-ended:
		return err
	case <-time.After(b.Limit):
		b.pending = ended
		return ErrTimedOut
	}
}

// Open opens a log file to append lines. If the file is missing, Open creates it with these
// permissions, less the umask. If the file is a pipe, Open returns an error, because a write to a
// full pipe waits for its reader.
func Open(path string, permissions os.FileMode) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY|unix.O_NONBLOCK, permissions)
	if errors.Is(err, unix.ENXIO) && isPipe(os.Stat(path)) { // a pipe without a reader
		return nil, fmt.Errorf("%s is a pipe", path)
	}
	if err != nil {
		return nil, err
	}
	if isPipe(file.Stat()) {
		_ = file.Close()
		return nil, fmt.Errorf("%s is a pipe", path)
	}
	return file, nil
}

func isPipe(info os.FileInfo, err error) bool {
	return err == nil && info.Mode()&os.ModeNamedPipe != 0
}

// Append writes a line, with its line end, to a file. It opens the file for each line, so that
// another program can rotate the file.
func Append(path string, permissions os.FileMode, line string) error {
	file, err := Open(path, permissions)
	if err != nil {
		return err
	}
	_, err = file.WriteString(line)
	return cmp.Or(err, file.Close())
}

// facilities are the syslog facilities in the order of their numbers (RFC 5424 section 6.2.1).
var facilities = []struct {
	name   string
	number syslog.Priority
}{
	{"kern", syslog.LOG_KERN}, {"user", syslog.LOG_USER}, {"mail", syslog.LOG_MAIL}, {"daemon", syslog.LOG_DAEMON},
	{"auth", syslog.LOG_AUTH}, {"syslog", syslog.LOG_SYSLOG}, {"lpr", syslog.LOG_LPR}, {"news", syslog.LOG_NEWS},
	{"uucp", syslog.LOG_UUCP}, {"cron", syslog.LOG_CRON}, {"authpriv", syslog.LOG_AUTHPRIV}, {"ftp", syslog.LOG_FTP},
	{"local0", syslog.LOG_LOCAL0}, {"local1", syslog.LOG_LOCAL1}, {"local2", syslog.LOG_LOCAL2}, {"local3", syslog.LOG_LOCAL3},
	{"local4", syslog.LOG_LOCAL4}, {"local5", syslog.LOG_LOCAL5}, {"local6", syslog.LOG_LOCAL6}, {"local7", syslog.LOG_LOCAL7},
}

// Facilities returns the names of the syslog facilities, in the order of their numbers.
func Facilities() []string {
	names := make([]string, 0, len(facilities))
	for _, f := range facilities {
		names = append(names, f.name)
	}
	return names
}

// Facility returns the value that package log/syslog has for a syslog facility. The name can have
// upper and lower case. Known reports whether the facility exists.
func Facility(name string) (number syslog.Priority, known bool) {
	for _, f := range facilities {
		if f.name == strings.ToLower(name) {
			return f.number, true
		}
	}
	return 0, false
}

// Syslog writes to the local syslog daemon. The zero value is ready. Only one goroutine can use a
// Syslog at a time.
type Syslog struct {
	facility syslog.Priority
	tag      string
	writer   *syslog.Writer
}

// Write writes a text with the severity of a log level. It first connects to the syslog daemon if
// it has no connection, or if the facility or the tag has changed.
func (s *Syslog) Write(facility syslog.Priority, tag string, level logrus.Level, text string) (err error) {
	if s.writer != nil && (facility != s.facility || tag != s.tag) {
		_ = s.writer.Close() // no text is lost, because the writer has no buffer
		s.writer = nil
	}
	if s.writer == nil {
		if s.writer, err = syslog.New(facility|syslog.LOG_INFO, tag); err != nil {
			return err
		}
		s.facility, s.tag = facility, tag
	}
	switch level {
	case logrus.PanicLevel, logrus.FatalLevel, logrus.ErrorLevel:
		return s.writer.Err(text)
	case logrus.WarnLevel:
		return s.writer.Warning(text)
	case logrus.InfoLevel:
		return s.writer.Info(text)
	case logrus.DebugLevel, logrus.TraceLevel:
	}
	return s.writer.Debug(text)
}

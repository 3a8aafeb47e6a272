package ocf

import (
	"errors"
	"fmt"
	"io"
	"log/syslog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"lvs-agents/internal/logsink"
)

// Logger returns the log of a process that continues after an action: the same log that the action
// has.
func Logger(p Process) logrus.FieldLogger {
	return newLogger(p, newEnvironment(p.Environ), filepath.Base(p.Args[0]))
}

// newLogger returns a log with the same outputs as ha_log and ha_debug of resource-agents
// (ocf-shellfuncs). If a person reads stderr, the only output is stderr. Otherwise, the outputs are
// syslog and the log file that the cluster names. If the cluster names neither, the output is
// stderr, which Pacemaker logs. With HA_debug, a cluster's log also goes to the file HA_DEBUGLOG.
func newLogger(p Process, env environment, name string) *logrus.Logger {
	log := logrus.New()
	log.SetOutput(io.Discard)
	debug := env["HA_debug"] != "" && env["HA_debug"] != "0"
	if debug {
		log.SetLevel(logrus.DebugLevel)
	}
	log.AddHook(sinkHook{sync.OnceValue(func() []sink { return sinks(p, env, name, debug) }), p.Stderr})
	return log
}

// sinks returns the outputs of the log. The log calls sinks only when it gets its first line,
// because most monitors log nothing.
func sinks(p Process, env environment, name string, debug bool) []sink {
	tag := oneLine(env.or("HA_LOGTAG", fmt.Sprintf("%s(%s)[%d]", name, env.instance(), os.Getpid())))
	sinks := clusterSinks(env, tag)
	if p.Terminal || len(sinks) == 0 {
		sinks = []sink{func(e *logrus.Entry) error {
			_, err := fmt.Fprintf(p.Stderr, "%s: %s: %s\n", tag, word(e.Level), message(e))
			return err
		}}
	} else if file := env["HA_DEBUGLOG"]; debug && file != "" && file != env["HA_LOGFILE"] {
		sinks = append(sinks, bounded(fileSink(file, tag)))
	}
	return sinks
}

func clusterSinks(env environment, tag string) []sink {
	var sinks []sink
	if facility, ok := logsink.Facility(env["HA_LOGFACILITY"]); ok {
		sinks = append(sinks, bounded(syslogSink(facility, tag)))
	}
	if file := env["HA_LOGFILE"]; file != "" {
		sinks = append(sinks, bounded(fileSink(file, tag)))
	}
	return sinks
}

// sink writes one log entry somewhere.
type sink func(*logrus.Entry) error

// sinkHook writes every entry to all sinks. If all sinks fail, it writes the entry to stderr: a
// full disk must not hide a reason. A single failure does not matter, because Pacemaker names a
// syslog facility even if no syslog daemon runs.
type sinkHook struct {
	sinks  func() []sink
	stderr io.Writer
}

// Levels makes logrus call Fire for entries of every level.
func (h sinkHook) Levels() []logrus.Level { return logrus.AllLevels }

// Fire writes an entry to all sinks. If all of them fail, it writes the entry to stderr.
func (h sinkHook) Fire(e *logrus.Entry) error {
	var errs []error
	sinks := h.sinks()
	for _, write := range sinks {
		if err := write(e); err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) == len(sinks) {
		fmt.Fprintf(h.stderr, "%s: %s (log: %v)\n", word(e.Level), message(e), errors.Join(errs...))
	}
	return nil
}

// fileSink appends lines in the format of the cluster's daemons, one write per line.
func fileSink(path, tag string) sink {
	return func(e *logrus.Entry) error {
		return logsink.Append(path, 0o640, fmt.Sprintf("%s %s:    %s: %s\n", e.Time.Format("Jan 02 15:04:05"), tag, word(e.Level), message(e)))
	}
}

func syslogSink(facility syslog.Priority, tag string) sink {
	var out logsink.Syslog
	return func(e *logrus.Entry) error {
		return out.Write(facility, tag, e.Level, word(e.Level)+": "+message(e))
	}
}

// logTimeout is how long the write of a log line can take.
const logTimeout = 500 * time.Millisecond

// bounded returns a sink that stops waiting for a write after logTimeout. If a syslog daemon or a
// disk hangs, a stop can still succeed.
func bounded(write sink) sink {
	b := logsink.Bounded{Limit: logTimeout}
	return func(e *logrus.Entry) error { return b.Do(func() error { return write(e) }) }
}

func word(level logrus.Level) string {
	switch level {
	case logrus.DebugLevel, logrus.TraceLevel:
		return "DEBUG"
	case logrus.InfoLevel:
		return "INFO"
	case logrus.WarnLevel:
		return "WARNING"
	case logrus.ErrorLevel:
		return "ERROR"
	case logrus.FatalLevel, logrus.PanicLevel:
		return "CRIT"
	}
	return "INFO"
}

// message returns the text of an entry, followed by its fields, sorted by name.
func message(e *logrus.Entry) string {
	names := make([]string, 0, len(e.Data))
	for name := range e.Data {
		names = append(names, name)
	}
	slices.Sort(names)
	text := oneLine(e.Message)
	for _, name := range names {
		text += fmt.Sprintf(" %s=%v", name, e.Data[name])
	}
	return text
}

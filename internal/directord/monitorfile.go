package directord

import (
	"context"
	"time"

	"github.com/sirupsen/logrus"

	"lvs-agents/internal/directord/compat"
	"lvs-agents/internal/health"
	"lvs-agents/internal/logsink"
)

// monitorfile writes the results of checks to the files in the directive monitorfile of services.
type monitorfile struct {
	log   logrus.FieldLogger
	lines chan monitorLine
}

type monitorLine struct{ path, text string }

func newMonitorfile(log logrus.FieldLogger) *monitorfile {
	return &monitorfile{log: log, lines: make(chan monitorLine, 1024)}
}

// checked queues the line about the result of a check. If the queue is full, checked drops the
// line. So a full disk delays no check.
func (m *monitorfile) checked(s health.Service, r health.Real, p health.Probe, err error) {
	if s.MonitorFile == "" {
		return
	}
	select {
	case m.lines <- monitorLine{s.MonitorFile, compat.CheckLine(time.Now(), s, r, p, err)}:
	default:
	}
}

// lineTimeout is how long the write of a line can take.
const lineTimeout = time.Second

// permissions is the mode of a new monitorfile.
const permissions = 0o644

func (m *monitorfile) run(ctx context.Context) {
	failed := map[string]bool{}
	writes := map[string]*logsink.Bounded{}
	for {
		select {
		case <-ctx.Done():
			return
		case line := <-m.lines:
			if writes[line.path] == nil {
				writes[line.path] = &logsink.Bounded{Limit: lineTimeout}
			}
			err := writes[line.path].Do(func() error { return logsink.Append(line.path, permissions, line.text) })
			if err != nil && !failed[line.path] {
				m.log.Warnf("monitorfile: %v", err)
			}
			failed[line.path] = err != nil
		}
	}
}

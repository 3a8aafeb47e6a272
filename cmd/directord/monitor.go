package main

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/sirupsen/logrus"

	"lvs-agents/internal/config"
	"lvs-agents/internal/health"
	"lvs-agents/internal/logsink"
	"lvs-agents/internal/lvs"
)

// monitor writes the results of checks to the files that services name.
type monitor struct {
	log   logrus.FieldLogger
	lines chan monitorLine
}

type monitorLine struct{ path, text string }

func newMonitor(log logrus.FieldLogger) *monitor {
	return &monitor{log: log, lines: make(chan monitorLine, 1024)}
}

// checked takes the result of a check. When nobody can write them any more
// lines are dropped: a full disk stops no check.
func (m *monitor) checked(s health.Service, r health.Real, err error) {
	if s.MonitorFile == "" {
		return
	}
	text := fmt.Sprintf("[%s] [%d] %s %s\n", time.Now().Format(stamp), os.Getpid(), identityOf(s, r), outcome(err))
	select {
	case m.lines <- monitorLine{s.MonitorFile, text}:
	default:
	}
}

func (m *monitor) run(ctx context.Context) {
	failed := map[string]bool{}
	writes := map[string]*logsink.Bounded{}
	for {
		select {
		case <-ctx.Done():
			return
		case line := <-m.lines:
			if writes[line.path] == nil {
				writes[line.path] = &logsink.Bounded{Limit: logTimeout}
			}
			err := writes[line.path].Do(func() error { return logsink.Append(line.path, permissions, line.text) })
			if err != nil && !failed[line.path] {
				m.log.Warnf("monitorfile: %v", err)
			}
			failed[line.path] = err != nil
		}
	}
}

// identityOf is what ldirectord calls the identity of a real server.
func identityOf(s health.Service, r health.Real) string {
	p, protocol := r.Probe, "fwm"
	if !s.ID.IsMark() {
		protocol = s.ID.Protocol.String()
	}
	words := []string{string(p.Type)}
	if p.Type == config.Combined {
		words = []string{fmt.Sprint(p.Connects)}
	}
	words = append(words, string(p.Application), p.Command, protocol, bare(r.Addr), fmt.Sprint(r.Addr.Port()), p.VirtualHost)
	if p.Addr.IsValid() && p.Addr.Port() != r.Addr.Port() && p.Addr.Port() != 0 {
		words = append(words, fmt.Sprint(p.Addr.Port()))
	}
	words = append(words, fmt.Sprint(r.Weight), method(r.Forward))
	if p.Type == config.Negotiate || p.Type == config.Combined {
		words = append(words, "/"+strings.TrimPrefix(p.Request, "/"), p.Receive)
	}
	return strings.ReplaceAll(strings.Join(strings.Fields(strings.Join(words, " ")), " "), `\`, "")
}

func bare(addr netip.AddrPort) string {
	if addr.Addr().Is6() {
		return "[" + addr.Addr().String() + "]"
	}
	return addr.Addr().String()
}

func method(f lvs.Forward) string {
	switch f {
	case lvs.Masq:
		return "masq"
	case lvs.Tunnel:
		return "ipip"
	case lvs.Route, lvs.Local, lvs.Bypass:
	}
	return "gate"
}

// outcome is [up] or [down] with a text of one short line.
func outcome(err error) string {
	if err == nil {
		return "[up] -"
	}
	text := strings.NewReplacer("%", "%25", "|", "%7c", "\r", "%0d", "\n", "%0a").Replace(err.Error())
	return "[down] " + strings.ToValidUTF8(text[:min(len(text), 300)], "")
}

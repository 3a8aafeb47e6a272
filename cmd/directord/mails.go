package main

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"lvs-agents/internal/alert"
	"lvs-agents/internal/config"
	"lvs-agents/internal/health"
)

// mailer turns events into mail.
type mailer struct {
	sender *alert.Sender
	host   string
	done   <-chan struct{} // closed when everything was sent
	finish context.CancelFunc

	mu      sync.Mutex
	address string // of the sender, as configured
}

func (m *mailer) from(address string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.address = address
}

// until is the context of the sender, which outlives the daemon's for a moment.
func (m *mailer) until() context.Context {
	ctx, finish := context.WithCancel(context.Background())
	m.finish = finish
	return ctx
}

// stop waits until mail was sent, or its time is over.
func (m *mailer) stop() {
	m.finish()
	select {
	case <-m.done:
	case <-time.After(patience/12 + 2*time.Second): // the mailer cannot even be killed
	}
}

// changed sends mail about a real server or fallback.
func (m *mailer) changed(e health.Event) {
	if e.Op.Destination.Addr.IsValid() || e.Purged.IsValid() {
		m.send(e.Service, e.Phase, e.Message)
	}
}

func (m *mailer) send(s health.Service, phase config.Phase, message string) {
	a := s.Alert
	if len(a.To) == 0 || a.Phases != nil && !slices.Contains(a.Phases, phase) {
		return
	}
	m.mu.Lock()
	from := m.address
	m.mu.Unlock()
	title := subject(s, message)
	body := fmt.Sprintf("ldirectord host: %s\nLog-Message: %s\nDaemon-Status: %s\n", m.host, title, phase)
	if s.Title != "" {
		body += "Service name: " + s.Title + "\n"
	}
	if s.Comment != "" {
		body += "Comment: " + s.Comment + "\n"
	}
	m.sender.Send(alert.Message{From: from, To: a.To, Relay: a.Relay, Subject: title, Body: body})
}

// remind sends mail about real servers that stay down.
func (m *mailer) remind(ctx context.Context, d *health.Daemon) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	type entry struct {
		service string
		real    netip.AddrPort
	}
	last := map[entry]time.Time{}
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			down, err := d.Down(ctx)
			if err != nil {
				return
			}
			seen := map[entry]bool{}
			for _, e := range down {
				key := entry{e.Service.ID.String(), e.Op.Destination.Addr}
				seen[key] = true
				switch since, known := last[key]; {
				case !known:
					last[key] = now
				case now.Sub(since) >= e.Service.Alert.Repeat:
					last[key] = now
					m.send(e.Service, e.Phase, e.Message)
				}
			}
			for key := range last {
				if !seen[key] {
					delete(last, key)
				}
			}
		}
	}
}

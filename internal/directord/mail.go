package directord

import (
	"cmp"
	"context"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"lvs-agents/internal/alert"
	"lvs-agents/internal/directord/compat"
	"lvs-agents/internal/health"
)

// mailer sends mail about events.
type mailer struct {
	sender *alert.Sender
	host   string

	mu   sync.Mutex
	from string // from is the sender address of mail. The configuration sets it.
}

// newMailer returns a mailer, which sends mail after the call of start.
func newMailer(sys System, log logrus.FieldLogger) *mailer {
	hostname, err := os.Hostname()
	if err != nil {
		hostname = "localhost"
	}
	hostname = cmp.Or(sys.getenv("HOSTNAME"), hostname)
	return &mailer{sender: alert.New(cmp.Or(sys.getenv("USER"), "root"), hostname, log), host: hostname}
}

// setFrom sets the address of the sender of mail.
func (m *mailer) setFrom(address string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.from = address
}

// occurred sends mail about a change of a real server or fallback.
func (m *mailer) occurred(e health.Event) {
	switch e.Kind {
	case health.ServerUp, health.ServerDown, health.ServerDrained, health.ServerChanged, health.ServerRemoved,
		health.FallbackIn, health.FallbackOut:
		m.send(e, compat.Line)
	case health.ServiceAdded, health.ServiceChanged, health.ServiceRemoved, health.ServiceEmpty, health.ServiceServing,
		health.ServerRising, health.ServerAdjusted, health.QuorumDown, health.QuorumUp, health.CapReached, health.CapLeft, health.OwnFault, health.OwnFaultOver, health.CheckFailed, health.CheckPassed, health.ServiceTaken, health.ServiceLost, health.OrderGiven, health.OrderEnded, health.TableRepaired, health.AddressHere, health.AddressGone, health.ConfigLoaded, health.ConfigRefused, health.DaemonEnded:
	}
}

// send sends mail about an event. The function line returns the text of the mail.
func (m *mailer) send(e health.Event, line func(health.Event) string) {
	a := e.Service.Alert
	if len(a.To) == 0 || a.Phases != nil && !slices.Contains(a.Phases, e.Phase) {
		return
	}
	m.mu.Lock()
	from := m.from
	m.mu.Unlock()
	subject, body := compat.Mail(e, line(e), m.host)
	m.sender.Send(alert.Message{From: from, To: a.To, Relay: a.Relay, Subject: subject, Body: body})
}

// remind sends mail about real servers that stay bad.
func (m *mailer) remind(ctx context.Context, d *health.Daemon) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	last := reminders{}
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			down, err := d.Down(ctx)
			if err != nil {
				return
			}
			for _, e := range last.due(now, down) {
				m.send(e, compat.Reminder)
			}
		}
	}
}

// reminders maps each real server that is bad to the time of the last mail about it.
type reminders map[health.Member]time.Time

// due returns the real servers whose next mail is due. It deletes the entries of real servers that
// are good again.
func (r reminders) due(now time.Time, down []health.Event) (due []health.Event) {
	seen := map[health.Member]bool{}
	for _, e := range down {
		key := health.Member{Service: e.Service.ID, Server: e.Server}
		seen[key] = true
		switch since, known := r[key]; {
		case !known:
			r[key] = now
		case now.Sub(since) >= e.Service.Alert.Repeat:
			r[key] = now
			due = append(due, e)
		}
	}
	for key := range r {
		if !seen[key] {
			delete(r, key)
		}
	}
	return due
}

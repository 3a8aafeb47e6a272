package directord

import (
	"encoding/json"
	"slices"
	"time"

	"lvs-agents/internal/alert"
	"lvs-agents/internal/config"
	"lvs-agents/internal/control"
	"lvs-agents/internal/directord/compat"
	"lvs-agents/internal/health"
)

// notifier runs the programs of config.Notify and posts to webhooks. The daemon does not wait for
// either.
type notifier struct {
	programs *programs
	webhook  *alert.Webhook
	id, host string
	// webhooks returns the webhooks of all services, for events that have no service.
	webhooks func() []string
}

// occurred sends the alerts about an event. A real server that is up at the start of the daemon, or
// down at its end, is not an alert.
func (n *notifier) occurred(e health.Event) {
	if e.Kind == health.ServerUp && e.Phase == config.Starting || e.Phase == config.Stopping {
		return
	}
	switch e.Kind {
	case health.ServerUp:
		n.run(e, e.Service.Notify.Up)
	case health.ServerDown:
		n.run(e, e.Service.Notify.Down)
	case health.QuorumUp:
		n.run(e, e.Service.Notify.QuorumUp)
	case health.QuorumDown:
		n.run(e, e.Service.Notify.QuorumDown)
	case health.CapReached, health.CapLeft, health.OwnFault, health.OwnFaultOver, health.ServiceLost, health.ConfigRefused:
	case health.ServiceAdded, health.ServiceChanged, health.ServiceRemoved, health.ServiceEmpty, health.ServiceServing,
		health.ServerDrained, health.ServerChanged, health.ServerRising, health.ServerAdjusted, health.ServerRemoved, health.FallbackIn, health.FallbackOut,
		health.CheckFailed, health.CheckPassed, health.ServiceTaken, health.OrderGiven, health.OrderEnded, health.TableRepaired, health.AddressHere, health.AddressGone, health.ConfigLoaded, health.DaemonEnded:
		return
	}
	n.post(e)
}

// run runs a program with the event in its environment.
func (n *notifier) run(e health.Event, words []string) {
	if len(words) == 0 {
		return
	}
	server := ""
	if e.Server.IsValid() {
		server = e.Server.String()
	}
	n.programs.newest(subject{e.Service.ID, e.Server, true}, job{state: string(e.Kind), words: words, environ: []string{
		"LVS_EVENT=" + string(e.Kind), "LVS_SERVICE=" + e.Service.ID.String(), "LVS_SERVER=" + server, "LVS_REASON=" + e.Reason,
		"LVS_DAEMON=" + n.id, "LVS_HOST=" + n.host, "LVS_TIME=" + e.Time.Format(time.RFC3339),
	}})
}

// message is the JSON that a webhook gets. Slack and compatible servers show Text.
type message struct {
	control.Event
	Host string `json:"host"`
	Text string `json:"text"`
}

// post posts an event to the webhook of its service, or to all webhooks if it has no service.
func (n *notifier) post(e health.Event) {
	var files []string
	switch {
	case e.Service == nil:
		files = n.webhooks()
	case e.Service.Notify.Webhook != "":
		files = []string{e.Service.Notify.Webhook}
	}
	if len(files) == 0 {
		return
	}
	m := message{Event: e.Control(), Host: n.host, Text: n.host + ": " + compat.AlertText(e)}
	m.Daemon = n.id
	body, err := json.Marshal(m)
	if err != nil {
		return // Marshal cannot fail: the message has only numbers, texts and a time.
	}
	for _, file := range files {
		n.webhook.Send(alert.Post{File: file, Body: body, Time: e.Time})
	}
}

// verify reads the files of all webhooks, so that the log has their errors before the first alert.
func (n *notifier) verify() {
	for _, file := range n.webhooks() {
		n.webhook.Send(alert.Post{File: file, Time: time.Now()})
	}
}

// webhooksOf returns the webhooks of a configuration, each once.
func webhooksOf(cfg *config.Config) (files []string) {
	if cfg == nil {
		return nil
	}
	for _, s := range cfg.Services {
		if file := s.Notify.Webhook; file != "" && !slices.Contains(files, file) {
			files = append(files, file)
		}
	}
	return files
}

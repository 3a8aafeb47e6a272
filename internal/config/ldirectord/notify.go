package ldirectord

import (
	"cmp"
	"path/filepath"
	"strings"

	"lvs-agents/internal/config"
	"lvs-agents/internal/config/fault"
)

// ofNotify returns the directives for config.Notify. ldirectord has none of them.
func ofNotify() []directive {
	words := func(field func(*config.Notify) *[]string) setter {
		return setWords(func(s *scope) *[]string { return field(&s.notify) })
	}
	const program = "PROGRAM [ARGUMENT ...]"
	return []directive{
		{name: "notify_up", where: inBoth, class: freeText, set: words(func(n *config.Notify) *[]string { return &n.Up }),
			values: program, example: "/usr/local/sbin/tell up",
			about: "Program that the daemon runs when a real server gets new connections again. The daemon adds no arguments; environment variables describe the event, see docs/alerts.md. The program runs without a shell. The name is keepalived's. ldirectord does not have this directive."},
		{name: "notify_down", where: inBoth, class: freeText, set: words(func(n *config.Notify) *[]string { return &n.Down }),
			values: program, example: "/usr/local/sbin/tell down",
			about: "Program that the daemon runs when a real server gets no new connections because of its checks. Everything else is as for notify_up. The name is keepalived's. ldirectord does not have this directive."},
		{name: "quorum_up", where: inBoth, class: freeText, set: words(func(n *config.Notify) *[]string { return &n.QuorumUp }),
			values: program, example: "/usr/local/sbin/tell enough",
			about: "Program that the daemon runs when enough real servers of the service are good again for quorum and minimum_healthy. Without these directives, one is enough. Everything else is as for notify_up. The name is keepalived's. ldirectord does not have this directive."},
		{name: "quorum_down", where: inBoth, class: freeText, set: words(func(n *config.Notify) *[]string { return &n.QuorumDown }),
			values: program, example: "/usr/local/sbin/tell few",
			about: "Program that the daemon runs when too few real servers of the service are good for quorum and minimum_healthy. Without these directives, it runs when none is good. Everything else is as for notify_up. The name is keepalived's. ldirectord does not have this directive."},
		{name: "webhook", where: inBoth, class: freeText, set: setWebhook,
			values: "PATH", example: "/etc/ha.d/webhook",
			about: "File with the URL that gets alerts as JSON, in an HTTP POST. The first line of the file is the URL; each further line is a header, as \"Authorization: Bearer TOKEN\". Only the owner of the file can have access to it. docs/alerts.md describes the alerts. ldirectord does not have this directive."},
	}
}

func setWebhook(s *scope, value string) error {
	switch {
	case strings.Contains(value, "://"):
		return fault.Errorf("write the URL into a file, because it can contain a secret, and the path of the file here", "webhook is a URL")
	case !filepath.IsAbs(value):
		return fault.Errorf("write a path that begins with /", "%s is not an absolute path", s.named(value))
	}
	s.notify.Webhook = value
	return nil
}

// notifyOver returns the alerts of the block, completed with the alerts of the file.
func (own *settings) notifyOver(file *settings) config.Notify {
	n, f := own.notify, file.notify
	first := func(own, file []string) []string {
		if own == nil {
			return file
		}
		return own
	}
	return config.Notify{
		Up: first(n.Up, f.Up), Down: first(n.Down, f.Down), QuorumUp: first(n.QuorumUp, f.QuorumUp),
		QuorumDown: first(n.QuorumDown, f.QuorumDown), Webhook: cmp.Or(n.Webhook, f.Webhook),
	}
}

// notify writes the directives of ofNotify.
func (w *writer) notify(n config.Notify) {
	w.words("notify_up", n.Up)
	w.words("notify_down", n.Down)
	w.words("quorum_up", n.QuorumUp)
	w.words("quorum_down", n.QuorumDown)
	w.line("webhook", n.Webhook)
}

// words writes a program with its arguments.
func (w *writer) words(name string, words []string) {
	if !w.secrets {
		words = config.HideWords(words)
	}
	quoted := make([]string, len(words))
	for i, word := range words {
		if quoted[i] = word; strings.ContainsAny(word, " \t") {
			quoted[i] = `"` + word + `"`
		}
	}
	w.line(name, strings.Join(quoted, " "))
}

package compat

import (
	"fmt"

	"lvs-agents/internal/config"
	"lvs-agents/internal/health"
)

// Mail returns the subject and the text of mail about a service. The message is the
// log line about it, and host the name of this host.
func Mail(s health.Service, phase config.Phase, message, host string) (subject, body string) {
	subject = message
	if s.Title != "" {
		subject = fmt.Sprintf("[%s] %s", s.Title, message)
	}
	body = fmt.Sprintf("ldirectord host: %s\nLog-Message: %s\nDaemon-Status: %s\n", host, subject, phase)
	if s.Title != "" {
		body += "Service name: " + s.Title + "\n"
	}
	if s.Comment != "" {
		body += "Comment: " + s.Comment + "\n"
	}
	return subject, body
}

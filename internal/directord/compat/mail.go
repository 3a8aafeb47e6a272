package compat

import (
	"fmt"

	"lvs-agents/internal/health"
)

// Mail returns the subject and the text of mail about an event. line is its line, and
// host the name of this host.
func Mail(e health.Event, line, host string) (subject, body string) {
	s := e.Service
	subject = line
	if s.Title != "" {
		subject = fmt.Sprintf("[%s] %s", s.Title, line)
	}
	body = fmt.Sprintf("ldirectord host: %s\nLog-Message: %s\nDaemon-Status: %s\n", host, subject, e.Phase)
	if s.Title != "" {
		body += "Service name: " + s.Title + "\n"
	}
	if s.Comment != "" {
		body += "Comment: " + s.Comment + "\n"
	}
	return subject, body
}

package compat

import (
	"fmt"

	"lvs-agents/internal/health"
)

// Mail returns the subject and the body of a mail about an event. The text line is the log line of
// the event, and host is the name of this host.
func Mail(e health.Event, line, host string) (subject, body string) {
	s := e.Service
	subject = line
	if s.Alert.Title != "" {
		subject = fmt.Sprintf("[%s] %s", s.Alert.Title, line)
	}
	body = fmt.Sprintf("ldirectord host: %s\nLog-Message: %s\nDaemon-Status: %s\n", host, subject, e.Phase)
	if s.Alert.Title != "" {
		body += "Service name: " + s.Alert.Title + "\n"
	}
	if s.Alert.Comment != "" {
		body += "Comment: " + s.Alert.Comment + "\n"
	}
	return subject, body
}

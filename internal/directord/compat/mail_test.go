package compat

import (
	"testing"

	"lvs-agents/internal/config"
	"lvs-agents/internal/health"
)

func TestMail(t *testing.T) {
	const line = "Deleted real server: 192.0.2.21:80 (192.0.2.10:80)"
	for _, tt := range []struct {
		service               health.Service
		wantSubject, wantBody string
	}{
		{health.Service{}, line, "ldirectord host: director1\nLog-Message: " + line + "\nDaemon-Status: running\n"},
		{health.Service{Alert: config.Alert{Title: "shop", Comment: "call Jane"}}, "[shop] " + line,
			"ldirectord host: director1\nLog-Message: [shop] " + line + "\nDaemon-Status: running\nService name: shop\nComment: call Jane\n"},
	} {
		subject, body := Mail(health.Event{Service: &tt.service, Phase: config.Running}, line, "director1")
		if subject != tt.wantSubject || body != tt.wantBody {
			t.Errorf("got  %s\n%s\nwant %s\n%s", subject, body, tt.wantSubject, tt.wantBody)
		}
	}
}

package check

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"
)

// traced runs a negotiate check of HTTP or HTTPS and returns its trace.
func traced(t *testing.T, application string, target Target) (Trace, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	return Traced(ctx, time.Now(), negotiation(t, application, target))
}

func TestTraceHasThePhasesOfACheck(t *testing.T) {
	const slow = 20 * time.Millisecond
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		<-time.After(slow)
		_, _ = fmt.Fprint(w, "all OK\n")
	}))
	t.Cleanup(server.Close)
	got, err := traced(t, "https", Target{Addr: netip.MustParseAddrPort(server.Listener.Addr().String()), Verify: VerifyNothing, Receive: perls(t, "OK")})
	if err != nil || got.Reply != "status 200 OK: all OK" {
		t.Errorf("%+v, %v", got, err)
	}
	if got.Connect <= 0 || got.TLS <= 0 || got.FirstByte < slow || got.Match <= 0 || got.Total < got.Connect+got.TLS+got.FirstByte+got.Match {
		t.Errorf("%+v", got)
	}
	server.Close()
	got, err = traced(t, "https", Target{Addr: netip.MustParseAddrPort(server.Listener.Addr().String())})
	if err == nil || got.Connect != 0 || got.TLS != 0 || got.FirstByte != 0 || got.Match != 0 || got.Total <= 0 || got.Reply != "" {
		t.Errorf("after the end of the server: %+v, %v", got, err)
	}
}

func TestTraceHasTheBeginningOfTheReply(t *testing.T) {
	for _, tt := range []struct{ name, reply, want string }{
		{"status", "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", "status 503 Busy"},
		{"escapes and secrets", "HTTP/1.1 200 OK\r\n\r\nhi hunter2 \x1b[31m\u202e<b>\n", "status 200 OK: hi *** ?[31m?<b>"},
		{"other protocol", "SSH-2.0-OpenSSH_9.2\r\n", "SSH-2.0-OpenSSH_9.2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			target := Target{Addr: server(t, answering(tt.reply)), Login: "me", Passwd: "hunter2", Receive: perls(t, "OK")}
			got, err := traced(t, "http", target)
			if err == nil || got.Reply != tt.want {
				t.Errorf("got  %q, %v\nwant %q", got.Reply, err, tt.want)
			}
		})
	}
}

// TestHTTPSaysThatTheServerDrains checks that a status of Drains passes before all other rules, and
// that each other good reply ends the drain.
func TestHTTPSaysThatTheServerDrains(t *testing.T) {
	drains := func(status int) bool { return status == 404 || status == 302 }
	for _, tt := range []struct {
		name, reply string
		drains      func(int) bool
		says, err   string
	}{
		{"drained", "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno", drains, "drain # status 404 Not Found\n", ""},
		{"a redirection", "HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n", drains, "drain # status 302 Found\n", ""},
		{"good", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK", drains, "ready\n", ""},
		{"another page", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno", drains, "", `the page does not match "OK"`},
		{"another status", "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", drains, "", "status 503 Busy"},
		{"not configured", "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", nil, "", "status 404 Not Found"},
		{"good, not configured", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK", nil, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			addr := server(t, answering(tt.reply))
			got, err := traced(t, "http", Target{Addr: addr, Receive: perls(t, "OK"), Drains: tt.drains})
			says(t, err, "GET http://"+addr.String()+"/: ", tt.err)
			if got.Says != tt.says {
				t.Errorf("got %q, want %q", got.Says, tt.says)
			}
		})
	}
}

func TestTraceCutsALongReply(t *testing.T) {
	for _, text := range []string{fmt.Sprintf("%1000s", "hunter2"), fmt.Sprintf("%163s", "hunter2")} {
		got := secrets{"hunter2"}.hidden(excerpt([]byte(text)[:maxExcerpt]))
		if len(got) > 90 || got == "hunt" {
			t.Errorf("%q", got)
		}
	}
}

package check

import (
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestHTTPS(t *testing.T) {
	names := make(chan string, 1)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Method+" "+r.Host)
	}))
	server.TLS = &tls.Config{GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		names <- hello.ServerName
		return nil, nil
	}}
	server.StartTLS()
	defer server.Close()
	addr := netip.MustParseAddrPort(server.Listener.Addr().String())
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	target := Target{Addr: addr, Host: "www.example.org", Verify: VerifyNothing, Receive: perls(t, "^GET www.example.org$")}
	if err := negotiation(t, "https", target).Check(ctx); err != nil {
		t.Error(err)
	}
	if name := <-names; name != "www.example.org" {
		t.Errorf("asked for %q", name)
	}
	target.Host, target.Receive, target.Method = addr.String(), nil, http.MethodHead
	if err := negotiation(t, "https", target).Check(ctx); err != nil {
		t.Error(err)
	}
	if name := <-names; name != "" {
		t.Errorf("asked for %q", name)
	}
	plainServer := httptest.NewServer(http.NotFoundHandler())
	defer plainServer.Close()
	target.Addr = netip.MustParseAddrPort(plainServer.Listener.Addr().String())
	if err := negotiation(t, "https", target).Check(ctx); err == nil || !strings.HasPrefix(err.Error(), "HEAD https://"+target.Addr.String()+"/: TLS: ") {
		t.Error(err)
	}
}

// TestTLSOfOldServers checks that a check can connect to servers with old versions or suites of
// TLS. Perl's library can connect to these servers.
func TestTLSOfOldServers(t *testing.T) {
	tests := []struct {
		name   string
		server *tls.Config
	}{
		{"RSA key exchange", &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256}}},
		{"RSA key exchange and CBC", &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_RSA_WITH_AES_256_CBC_SHA}}},
		{"TLS 1.0", &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS10}},
		{"TLS 1.1", &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}},
		{"triple DES", &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA}}},
		{"P-521", &tls.Config{CurvePreferences: []tls.CurveID{tls.CurveP521}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
			server.TLS = tt.server
			server.StartTLS()
			defer server.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			target := Target{Addr: netip.MustParseAddrPort(server.Listener.Addr().String()), Verify: VerifyNothing}
			if err := negotiation(t, "https", target).Check(ctx); err != nil {
				t.Error(err)
			}
		})
	}
}

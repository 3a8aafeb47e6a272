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
	receive, err := Compile("^GET www.example.org$")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	c := HTTP{Addr: addr, Source: anywhere{}, Host: "www.example.org", Path: "/", Receive: receive, TLS: true}
	if err := c.Check(ctx); err != nil {
		t.Error(err)
	}
	if name := <-names; name != "www.example.org" {
		t.Errorf("asked for %q", name)
	}
	c.Host, c.Receive, c.Method = addr.String(), nil, http.MethodHead
	if err := c.Check(ctx); err != nil {
		t.Error(err)
	}
	if name := <-names; name != "" {
		t.Errorf("asked for %q", name)
	}
	plainServer := httptest.NewServer(http.NotFoundHandler())
	defer plainServer.Close()
	c.Addr = netip.MustParseAddrPort(plainServer.Listener.Addr().String())
	if err := c.Check(ctx); err == nil || !strings.HasPrefix(err.Error(), "HEAD https://"+c.Addr.String()+"/: TLS: ") {
		t.Error(err)
	}
}

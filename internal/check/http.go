package check

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// Limits of what an HTTP check reads.
const (
	maxHeader = 64 << 10
	maxBody   = 1 << 20
)

// HTTP asks for a page. It is good when the status is 2xx and the page, if
// Receive is set, matches. Redirections are not followed: they are another
// server's health.
type HTTP struct {
	Addr    netip.AddrPort
	Source  Sourcer
	Method  string  // empty for GET
	Host    string  // of the Host header; with TLS a name there is asked for, too
	Path    string  // begins with a slash, or is a whole URL for a proxy
	Receive Pattern // nil for any page; only the first MiB is looked at
	TLS     bool    // the certificate is not looked at
}

// Check sends one request on a connection of its own.
func (h HTTP) Check(ctx context.Context) error {
	conn, err := dial(ctx, h.Source, h.Addr)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if err := h.converse(ctx, conn); err != nil {
		return fmt.Errorf("%s %s: %w", h.method(), h.url(), err)
	}
	return nil
}

func (h HTTP) method() string {
	if h.Method == "" {
		return http.MethodGet
	}
	return h.Method
}

// url names what is asked for in messages.
func (h HTTP) url() string {
	switch {
	case !strings.HasPrefix(h.Path, "/"):
		return h.Path + " by " + h.Addr.String()
	case h.TLS:
		return "https://" + h.Addr.String() + h.Path
	}
	return "http://" + h.Addr.String() + h.Path
}

func (h HTTP) converse(ctx context.Context, conn net.Conn) error {
	if !h.TLS {
		return h.talk(conn)
	}
	// Real servers have certificates for the service's name, or none that
	// anybody signed: that they answer is what is asked here.
	settings := &tls.Config{InsecureSkipVerify: true} // see above
	if name, _, err := net.SplitHostPort(h.Host); err == nil {
		settings.ServerName = name
	} else {
		settings.ServerName = h.Host
	}
	if net.ParseIP(settings.ServerName) != nil {
		settings.ServerName = ""
	}
	session := tls.Client(conn, settings)
	if err := session.HandshakeContext(ctx); err != nil {
		return fmt.Errorf("TLS: %w", plain(err))
	}
	return h.talk(session)
}

func (h HTTP) talk(conn io.ReadWriter) error {
	request := h.method() + " " + strings.ReplaceAll(h.Path, " ", "%20") + " HTTP/1.1\r\nHost: " + h.Host +
		"\r\nUser-Agent: lvs-agents\r\nAccept: */*\r\nConnection: close\r\n\r\n"
	if _, err := io.WriteString(conn, request); err != nil {
		return plain(err)
	}
	response, err := answer(bufio.NewReader(io.LimitReader(conn, maxHeader+maxBody)), h.method())
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode/100 != 2 {
		status := "status " + response.Status
		if location := response.Header.Get("Location"); location != "" {
			status += fmt.Sprintf(" to %.80q; request that page instead", location)
		}
		return errors.New(status)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxBody))
	switch {
	case err != nil && len(body)+maxHeader < maxBody:
		return fmt.Errorf("the page broke off: %w", plain(err))
	case h.Receive != nil && !h.Receive.Match(body):
		return fmt.Errorf("the page does not match %q", h.Receive.String())
	}
	return nil
}

// answer reads the header of the final response.
func answer(reader *bufio.Reader, method string) (*http.Response, error) {
	for {
		response, err := http.ReadResponse(reader, &http.Request{Method: method})
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return nil, errors.New("closed without an answer")
		case err != nil:
			return nil, plain(err)
		case response.StatusCode/100 != 1:
			return response, nil
		}
	}
}

package check

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"regexp"
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
	Host    string         // of the Host header
	Path    string         // begins with a slash
	Receive *regexp.Regexp // nil for any page; only the first MiB is looked at
}

// Check sends one request on a connection of its own.
func (h HTTP) Check(ctx context.Context) error {
	conn, err := dial(ctx, h.Source, h.Addr)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if err := h.talk(conn); err != nil {
		return fmt.Errorf("GET http://%s%s: %w", h.Addr, h.Path, err)
	}
	return nil
}

func (h HTTP) talk(conn io.ReadWriter) error {
	request := "GET " + strings.ReplaceAll(h.Path, " ", "%20") + " HTTP/1.1\r\nHost: " + h.Host +
		"\r\nUser-Agent: lvs-agents\r\nAccept: */*\r\nConnection: close\r\n\r\n"
	if _, err := io.WriteString(conn, request); err != nil {
		return plain(err)
	}
	response, err := answer(bufio.NewReader(io.LimitReader(conn, maxHeader+maxBody)))
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
	case h.Receive != nil && !matches(h.Receive, body):
		return fmt.Errorf("the page does not match %q", h.Receive)
	}
	return nil
}

// answer reads the header of the final response.
func answer(reader *bufio.Reader) (*http.Response, error) {
	for {
		response, err := http.ReadResponse(reader, nil)
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

// matches lets $ match before a newline at the end, as in Perl: pages end in one.
func matches(pattern *regexp.Regexp, body []byte) bool {
	return pattern.Match(body) || pattern.Match(bytes.TrimSuffix(body, []byte("\n")))
}

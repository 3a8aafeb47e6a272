package check

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Limits of an answer in bytes.
const (
	maxHeader = 64 << 10
	maxBody   = 1 << 20
)

// maxRedirects is how many redirections a check follows. LWP follows as many for ldirectord.
const maxRedirects = 7

// HTTP requests a page. It is good if the status is good and the first MiB of the page matches
// Receive, if that is set. Redirections are followed as long as they stay on this server: the
// health of another server does not count.
type HTTP struct {
	Target
	secure bool
	page   string // of the request line: a path, with a proxy a whole URL
	name   string // of the Host header
}

func newHTTP(service string, t Target) (Checker, error) {
	if t.Method == "" {
		t.Method = http.MethodGet
	}
	h := HTTP{Target: t, page: "/" + t.path(), name: t.Host, secure: service == "https"}
	if h.name == "" { // without the port, as in ldirectord's check_http
		h.name = t.hostName()
		if t.Addr.Addr().Is6() {
			h.name = "[" + h.name + "]"
		}
	}
	if service == "http_proxy" {
		page, err := url.Parse(t.path())
		if err != nil || page.Scheme != "http" || page.Host == "" {
			return nil, fmt.Errorf("request=%q cannot be sent to a proxy; write request=\"http://HOST/PATH\"", shown(t.path()))
		}
		h.page, h.name = t.path(), page.Host
	}
	if strings.ContainsAny(h.page+h.name, "\r\n") {
		return nil, errors.New("request and virtualhost must have no line breaks")
	}
	return h, nil
}

func (h HTTP) scheme() string {
	if h.secure {
		return "https"
	}
	return "http"
}

// Check sends one request, and one more for each redirection, each over a new connection.
func (h HTTP) Check(ctx context.Context) error {
	page := h.page
	for range maxRedirects + 1 {
		location, err := h.request(ctx, page)
		if err != nil || location == "" {
			return h.named(page, err)
		}
		if page, err = h.follow(page, location); err != nil {
			return h.named(h.page, err)
		}
	}
	return h.named(h.page, fmt.Errorf("redirected more than %d times, at last to %q", maxRedirects, shown(page)))
}

// named puts the request in front of a reason, with the address of the server.
func (h HTTP) named(page string, err error) error {
	if err == nil {
		return nil
	}
	if strings.HasPrefix(page, "/") {
		page = h.scheme() + "://" + h.Addr.String() + page
	} else {
		page += " by " + h.Addr.String()
	}
	return fmt.Errorf("%s %s: %w", h.Method, shown(page), err)
}

// request returns where the server redirects to, if it does.
func (h HTTP) request(ctx context.Context, page string) (location string, err error) {
	c, err := h.dial(ctx)
	if err != nil {
		return "", err
	}
	defer func() { _ = c.Close() }()
	if h.secure {
		if err := c.encrypt(ctx, h.Target); err != nil {
			return "", err
		}
	}
	location, err = h.talk(ctx, c, page)
	return location, c.reason(ctx, err)
}

// dial opens a connection by the target's dialer, unless it will be encrypted: package tls closes a
// connection from another goroutine.
func (h HTTP) dial(ctx context.Context) (*conn, error) {
	if h.secure {
		return dial(ctx, h.Source, h.Addr)
	}
	c, err := open(ctx, orNet(h.Dialer), h.Source, h.Addr)
	if err != nil {
		return nil, err
	}
	return bound(c), nil
}

func (h HTTP) talk(ctx context.Context, c *conn, page string) (location string, err error) {
	request := h.Method + " " + escaped(page) + " HTTP/1.1\r\nHost: " + h.name +
		"\r\nUser-Agent: lvs-agents\r\nAccept: */*\r\nConnection: close\r\n" + h.authorization() + "\r\n"
	if _, err := io.WriteString(c, request); err != nil {
		return "", err
	}
	reader := bufio.NewReader(c)
	response, err := readResponse(reader, h.Method)
	if other, ok := errors.AsType[errOther](err); ok && h.Receive != nil {
		return "", h.bare(ctx, other, reader)
	}
	if err != nil {
		return "", err
	}
	if !h.good(response.status) {
		if response.status/100 == 3 && response.location != "" {
			return response.location, nil
		}
		return "", errors.New("status " + printable(response.text))
	}
	return "", h.body(ctx, response.body)
}

// bare judges a reply without a header, as HTTP/0.9 and some scripts send it. It treats the reply
// as a page, as LWP does.
func (h HTTP) bare(ctx context.Context, begin errOther, rest io.Reader) error {
	page, err := io.ReadAll(io.LimitReader(rest, maxBody))
	if err != nil {
		return err
	}
	found, err := h.matches(ctx, append([]byte(begin.line+"\n"), page...))
	if err == nil && !found {
		return begin
	}
	return err
}

// escaped returns a page as it is sent: without a fragment, and with the escapes that package URI
// of Perl makes.
func escaped(page string) string {
	page, _, _ = strings.Cut(page, "#")
	var b strings.Builder
	for _, c := range []byte(page) {
		if c <= ' ' || c > '~' || strings.IndexByte("\"<>\\^`{|}", c) >= 0 {
			fmt.Fprintf(&b, "%%%02X", c)
			continue
		}
		b.WriteByte(c)
	}
	return b.String()
}

// authorization is the header of a login (RFC 7617).
func (h HTTP) authorization() string {
	if h.Login == "" && h.Passwd == "" {
		return ""
	}
	return "Authorization: Basic " + h.basic() + "\r\n"
}

func (h HTTP) good(status int) bool {
	if h.Status == nil {
		return status/100 == 2
	}
	return h.Status(status)
}

func (h HTTP) body(ctx context.Context, whole io.Reader) error {
	page := io.LimitReader(whole, maxBody)
	if h.Receive == nil {
		_, err := io.Copy(io.Discard, page)
		return broken(err)
	}
	body, err := io.ReadAll(page)
	if err := broken(err); err != nil {
		return err
	}
	return h.expect(ctx, body, "the page")
}

// broken is an error in the middle of a page, not one at the limit of reading.
func broken(err error) error {
	if err == nil || errors.Is(err, errEndless) {
		return nil
	}
	if isTimeout(err) {
		return err
	}
	return fmt.Errorf("the page broke off: %w", plain(err))
}

// follow returns the page to request after a redirection.
func (h HTTP) follow(page, location string) (string, error) {
	base, err := url.Parse(h.scheme() + "://" + h.name)
	if err == nil && strings.HasPrefix(page, "/") {
		base, err = base.Parse(page)
	}
	var to *url.URL
	if err == nil {
		to, err = base.Parse(location)
	}
	switch {
	case err != nil:
		return "", fmt.Errorf("redirected to %q, which is not a URL", shown(location))
	case !strings.HasPrefix(page, "/"):
		return "", fmt.Errorf("redirected to %q; request that instead", shown(location))
	case !h.here(to):
		return "", fmt.Errorf("redirected to another server, %q; request a page that this one has", shown(location))
	}
	return to.RequestURI(), nil
}

// here reports whether a URL is on this server. Its host must be the name or the address of the
// server. Its port must be the port of the server, of virtualhost, or the default of the scheme.
func (h HTTP) here(to *url.URL) bool {
	port := to.Port()
	if port == "" {
		port = h.defaultPort()
	}
	_, own, _ := net.SplitHostPort(h.name) // without a port, own stays empty
	return to.Scheme == h.scheme() &&
		(sameHost(to.Hostname(), h.hostName()) || sameHost(to.Hostname(), h.Addr.Addr().WithZone("").String())) &&
		slices.Contains([]string{h.defaultPort(), own, strconv.Itoa(int(h.Addr.Port()))}, port)
}

func (h HTTP) defaultPort() string {
	if h.secure {
		return "443"
	}
	return "80"
}

// sameHost compares names, or addresses as IPv6 can be written in many ways.
func sameHost(a, b string) bool {
	addr, err := netip.ParseAddr(a)
	other, failed := netip.ParseAddr(b)
	if err != nil || failed != nil {
		return strings.EqualFold(a, b)
	}
	return addr == other
}

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

// maxHeader and maxBody are limits in bytes. A check reads at most maxBody bytes of a page.
// maxAnswer, the limit for a connection, is the sum of both.
const (
	maxHeader = 64 << 10
	maxBody   = 1 << 20
)

// maxRedirects is how many redirections a check follows. ldirectord follows the same number, by its
// library LWP.
const maxRedirects = 7

// HTTP is a check that requests a page. It is good if the status is good and the first MiB of the
// page matches Receive. A nil Receive matches any page. The check follows a redirection only to the
// same server, because the health of another server does not count.
type HTTP struct {
	Target
	secure bool
	page   string // page is the target in the request line: a path, or a whole URL for a proxy.
	name   string // name is the value of the Host header.
}

func newHTTP(service string, t Target) (Checker, error) {
	if t.Method == "" {
		t.Method = http.MethodGet
	}
	h := HTTP{Target: t, page: "/" + t.path(), name: t.Host, secure: service == "https"}
	if h.name == "" { // Like ldirectord's check_http, the Host header leaves out the port.
		h.name = t.hostName()
		if t.Addr.Addr().Is6() {
			h.name = "[" + h.name + "]"
		}
	}
	if service == "http_proxy" {
		page, err := url.Parse(t.path())
		if err != nil || page.Scheme != "http" || page.Host == "" {
			return nil, fmt.Errorf("request=%q cannot be sent to a proxy; write request=\"http://HOST/PATH\"", Shown(t.path()))
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

// Check sends one request, and one more request for each redirection. Each request uses a new
// connection.
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
	return h.named(h.page, fmt.Errorf("redirected more than %d times, at last to %q", maxRedirects, Shown(page)))
}

// named puts the method, the page and the server in front of a reason. It returns nil if err is
// nil.
func (h HTTP) named(page string, err error) error {
	if err == nil {
		return nil
	}
	if strings.HasPrefix(page, "/") {
		page = h.scheme() + "://" + h.Addr.String() + page
	} else {
		page += " by " + h.Addr.String()
	}
	return fmt.Errorf("%s %s: %w", h.Method, Shown(page), err)
}

// request requests a page and judges the reply. If the server redirects the request, request
// returns the location.
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

// dial opens a connection with the dialer of the target. For TLS, it uses package net instead,
// because package tls closes a connection from another goroutine.
func (h HTTP) dial(ctx context.Context) (*conn, error) {
	if h.secure {
		return dial(ctx, h.Source, h.Addr)
	}
	c, err := open(ctx, orNet(h.Dialer), h.Source, h.Addr)
	if err != nil {
		return nil, err
	}
	return bound(ctx, c), nil
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
	c.tracer.replied("status "+response.text, nil)
	if h.Drains != nil && h.Drains(response.status) {
		c.tracer.says("drain # status " + response.text + "\n")
		return "", nil
	}
	if !h.good(response.status) {
		if response.status/100 == 3 && response.location != "" {
			return response.location, nil
		}
		return "", errors.New("status " + printable(response.text))
	}
	if err := h.body(ctx, response); err != nil {
		return "", err
	}
	if h.Drains != nil {
		c.tracer.says("ready\n")
	}
	return "", nil
}

// bare judges a reply without a header, which HTTP/0.9 servers and some scripts send. It treats the
// whole reply as a page, as LWP does.
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

// escaped returns a page in the form for the request line. The form has no fragment, and has the
// same escapes as Perl's package URI makes.
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

// authorization returns the header line with the login (RFC 7617). It is empty if the target has
// neither a login nor a password.
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

func (h HTTP) body(ctx context.Context, whole *response) error {
	page := io.LimitReader(whole.body, maxBody)
	if h.Receive == nil {
		_, err := io.Copy(io.Discard, page)
		return broken(err)
	}
	body, err := io.ReadAll(page)
	tracerOf(ctx).replied("status "+whole.text, body)
	if err := broken(err); err != nil {
		return err
	}
	return h.expect(ctx, body, "the page")
}

// broken returns the error if a page ended too early. It returns nil if reading only ended at the
// limit of bytes.
func broken(err error) error {
	if err == nil || errors.Is(err, errEndless) {
		return nil
	}
	if isTimeout(err) {
		return err
	}
	return fmt.Errorf("the page broke off: %w", plain(err))
}

// follow returns the page to request after a redirection. It returns an error if the check must not
// follow the redirection.
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
		return "", fmt.Errorf("redirected to %q, which is not a URL", Shown(location))
	case !strings.HasPrefix(page, "/"):
		return "", fmt.Errorf("redirected to %q; request that instead", Shown(location))
	case !h.here(to):
		return "", fmt.Errorf("redirected to %q, which has another host, port or protocol; request a page that this server has", Shown(location))
	}
	return to.RequestURI(), nil
}

// here reports whether a URL is on this server. The scheme must be the scheme of the check. The
// host of the URL must be the name or the address of the server. The port of the URL must be the
// port of the server, the port in virtualhost, or the default port of the scheme.
func (h HTTP) here(to *url.URL) bool {
	port := to.Port()
	if port == "" {
		port = h.defaultPort()
	}
	_, own, _ := net.SplitHostPort(h.name) // The variable own is empty if the name has no port.
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

// sameHost reports whether two hosts are equal. It compares parsed addresses, because an IPv6
// address can be written in many ways.
func sameHost(a, b string) bool {
	addr, err := netip.ParseAddr(a)
	other, failed := netip.ParseAddr(b)
	if err != nil || failed != nil {
		return strings.EqualFold(a, b)
	}
	return addr == other
}

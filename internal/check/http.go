package check

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// Limits of what is read of an answer, in bytes.
const (
	maxHeader = 64 << 10
	maxBody   = 1 << 20
)

// maxRedirects is ldirectord's.
const maxRedirects = 7

// HTTP asks for a page. It is good when the status is and the page, if Receive
// is set, matches; only the first MiB is looked at. Redirections are followed
// as long as they stay on this server: behind others is another one's health.
type HTTP struct {
	Target
	secure bool
	origin string // scheme, host and port as the server is called
	page   string // of the request line: a path, with a proxy a whole URL
	name   string // of the Host header
}

func newHTTP(service string, t Target) (Checker, error) {
	if t.Method == "" {
		t.Method = http.MethodGet
	}
	h := HTTP{Target: t, page: "/" + t.path(), name: t.Host, secure: service == "https"}
	if h.name == "" {
		h.name = t.Addr.String()
	}
	if service == "http_proxy" {
		page, err := url.Parse(t.path())
		if err != nil || page.Scheme != "http" || page.Host == "" {
			return nil, fmt.Errorf("request=%q is not what a proxy is asked for; write request=\"http://HOST/PATH\"", shown(t.path()))
		}
		h.page, h.name = t.path(), page.Host
	}
	if strings.ContainsAny(h.page+h.name, "\r\n") {
		return nil, errors.New("request and virtualhost must have no line breaks")
	}
	h.origin = map[bool]string{false: "http://", true: "https://"}[h.secure] + h.name
	return h, nil
}

// Check sends one request on a connection of its own, and one more for each
// redirection.
func (h HTTP) Check(ctx context.Context) error {
	page := h.page
	for range maxRedirects {
		location, err := h.request(ctx, page)
		if err != nil || location == "" {
			return h.named(page, err)
		}
		if page, err = h.follow(page, location); err != nil {
			return h.named(h.page, err)
		}
	}
	return h.named(h.page, fmt.Errorf("redirected more than %d times, at last to %q", maxRedirects-1, shown(page)))
}

// named puts the request in front of a reason, with the address that was asked.
func (h HTTP) named(page string, err error) error {
	if err == nil {
		return nil
	}
	if strings.HasPrefix(page, "/") {
		scheme, _, _ := strings.Cut(h.origin, "://")
		page = scheme + "://" + h.Addr.String() + page
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

func (h HTTP) dial(ctx context.Context) (*conn, error) {
	if h.Connector != nil && !h.secure && h.Addr.Addr().Zone() == "" {
		return h.Connector.connect(ctx, h.Source, h.Addr)
	}
	return dial(ctx, h.Source, h.Addr)
}

func (h HTTP) talk(ctx context.Context, c *conn, page string) (location string, err error) {
	request := h.Method + " " + strings.ReplaceAll(page, " ", "%20") + " HTTP/1.1\r\nHost: " + h.name +
		"\r\nUser-Agent: lvs-agents\r\nAccept: */*\r\nConnection: close\r\n\r\n"
	if _, err := io.WriteString(c, request); err != nil {
		return "", err
	}
	response, err := answer(bufio.NewReader(c), &http.Request{Method: h.Method})
	if err != nil {
		if strings.HasPrefix(err.Error(), "malformed") { // it shows all of what may be no text
			err = errors.New(ascii(err.Error()))
		}
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	if !h.good(response.StatusCode) {
		location := response.Header.Get("Location")
		if response.StatusCode/100 == 3 && location != "" {
			return location, nil
		}
		return "", errors.New("status " + printable(response.Status))
	}
	return "", h.body(ctx, response)
}

func (h HTTP) good(status int) bool {
	if h.Status == nil {
		return status/100 == 2
	}
	return h.Status(status)
}

func (h HTTP) body(ctx context.Context, response *http.Response) error {
	page := io.LimitReader(response.Body, maxBody)
	if h.Receive == nil {
		n, err := io.Copy(io.Discard, page)
		return broken(int(n), err)
	}
	body, err := io.ReadAll(page)
	if err := broken(len(body), err); err != nil {
		return err
	}
	return h.expect(ctx, body, "the page")
}

// broken is an error in the middle of a page, not one at the limit of reading.
func broken(size int, err error) error {
	if err == nil || errors.Is(err, errEndless) || size+maxHeader >= maxBody {
		return nil
	}
	if isTimeout(err) {
		return err
	}
	return fmt.Errorf("the page broke off: %w", plain(err))
}

// follow is the page to ask for after a redirection.
func (h HTTP) follow(page, location string) (string, error) {
	base, err := url.Parse(h.origin)
	if err == nil && strings.HasPrefix(page, "/") {
		base, err = base.Parse(page)
	}
	var to *url.URL
	if err == nil {
		to, err = base.Parse(location)
	}
	switch {
	case err != nil:
		return "", fmt.Errorf("redirected to %q, which is no URL", shown(location))
	case !strings.HasPrefix(page, "/"):
		return "", fmt.Errorf("redirected to %q; request that instead", shown(location))
	case to.Scheme != base.Scheme || to.Host != base.Host && to.Host != h.Addr.String() && to.Host != h.Addr.Addr().String():
		return "", fmt.Errorf("redirected to another server, %q; request a page that this one has", shown(location))
	}
	return to.RequestURI(), nil
}

// answer reads the header of the final response.
func answer(reader *bufio.Reader, request *http.Request) (*http.Response, error) {
	for {
		response, err := http.ReadResponse(reader, request)
		if err != nil {
			return nil, err
		}
		if response.StatusCode/100 != 1 {
			return response, nil
		}
	}
}

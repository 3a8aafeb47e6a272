package check

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"lvs-agents/internal/program"
)

// Target is a real server, and the settings of its check.
type Target struct {
	Addr    netip.AddrPort
	UDP     bool // UDP says that the check uses UDP, if its protocol also has TCP.
	Source  Sourcer
	Dialer  Dialer // Dialer opens the connections of HTTP without TLS. Nil means NetDialer.
	Method  string // Method is the method of HTTP. Empty means GET.
	Request string
	// Receive is a pattern that a good reply matches. Nil accepts any reply.
	Receive Pattern
	// Status reports whether an HTTP status is good. Nil accepts 200 to 299.
	Status func(int) bool
	// Drains reports whether an HTTP status means that the check passes and that the server wants no
	// new connections. Nil is false for every status.
	Drains func(int) bool
	// Host is the name of the server in HTTP and TLS. Empty means its address.
	Host     string
	Database string
	Login    string
	Passwd   string
	Secret   string
	Verify   Verify
	// Roots are the authorities that the check trusts. Nil means the roots of package x509.
	Roots    *Roots
	Helper   string       // Helper is the path of the program that queries Oracle.
	Programs *program.Set // Programs runs the helper and openssl. It can be nil.
}

// Format prints only the address of the target for every verb of package fmt, because a Target
// holds secrets.
func (t Target) Format(f fmt.State, _ rune) { fmt.Fprint(f, t.Addr.String()) }

// path returns the request without a slash at its beginning. ldirectord also removes the slash.
func (t Target) path() string { return strings.TrimPrefix(t.Request, "/") }

// matches reports whether an answer matches Receive. A nil Receive matches every answer.
func (t Target) matches(ctx context.Context, answer []byte) (bool, error) {
	if t.Receive == nil {
		return true, nil
	}
	defer tracerOf(ctx).matches()()
	return t.Receive.Match(ctx, answer)
}

// expect returns an error if the answer does not match Receive. what names the answer in the error.
func (t Target) expect(ctx context.Context, answer []byte, what string) error {
	found, err := t.matches(ctx, answer)
	if err != nil || found {
		return err
	}
	return fmt.Errorf("%s does not match %q", what, t.Receive.String())
}

// hostName returns the name of the server in HTTP and TLS: Host without its port. If Host is empty,
// it returns the address of the server.
func (t Target) hostName() string {
	if t.Host == "" {
		return t.Addr.Addr().WithZone("").String()
	}
	if host, _, err := net.SplitHostPort(t.Host); err == nil {
		return host
	}
	return strings.Trim(t.Host, "[]")
}

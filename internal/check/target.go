package check

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"lvs-agents/internal/program"
)

// Target is a real server and the query for it.
type Target struct {
	Addr     netip.AddrPort
	UDP      bool // for protocols that are spoken over TCP and UDP
	Source   Sourcer
	Dialer   Dialer // opens the connections of HTTP without TLS; nil for NetDialer
	Method   string // of HTTP; empty for GET
	Request  string
	Receive  Pattern        // nil for any reply
	Status   func(int) bool // HTTP statuses that are good; nil for 2xx
	Host     string         // name of the server in HTTP and TLS; empty for its address
	Database string
	Login    string
	Passwd   string
	Secret   string
	Verify   Verify
	Roots    *Roots       // authorities that are trusted; nil for the roots of package x509
	Helper   string       // program that talks to Oracle
	Programs *program.Set // runs the helper and openssl; may be nil
}

// Format implements fmt.Formatter: a target holds secrets, so every verb prints
// its address alone.
func (t Target) Format(f fmt.State, _ rune) { fmt.Fprint(f, t.Addr.String()) }

// path returns the request without a leading slash, for protocols without paths. ldirectord also
// removes the slash.
func (t Target) path() string { return strings.TrimPrefix(t.Request, "/") }

// matches reports whether an answer matches Receive.
func (t Target) matches(ctx context.Context, answer []byte) (bool, error) {
	if t.Receive == nil {
		return true, nil
	}
	return t.Receive.Match(ctx, answer)
}

// expect fails unless the answer matches.
func (t Target) expect(ctx context.Context, answer []byte, what string) error {
	found, err := t.matches(ctx, answer)
	if err != nil || found {
		return err
	}
	return fmt.Errorf("%s does not match %q", what, t.Receive.String())
}

// hostName returns the name of the server in HTTP and TLS.
func (t Target) hostName() string {
	if t.Host == "" {
		return t.Addr.Addr().WithZone("").String()
	}
	if host, _, err := net.SplitHostPort(t.Host); err == nil {
		return host
	}
	return strings.Trim(t.Host, "[]")
}

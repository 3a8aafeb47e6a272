package check

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
)

// Target says what to ask of whom.
type Target struct {
	Addr     netip.AddrPort
	UDP      bool // for protocols that are spoken over TCP and UDP
	Source   Sourcer
	Dialer   Dialer // opens the connections of HTTP without TLS; nil for NetDialer
	Method   string // of HTTP; empty for GET
	Request  string
	Receive  Pattern        // nil for any answer
	Status   func(int) bool // HTTP statuses that are good; nil for 2xx
	Host     string         // name of the server in HTTP and TLS; empty for its address
	Database string
	Login    string
	Passwd   string
	Secret   string
	Verify   Verify
	Roots    *Roots    // authorities that are trusted; nil for those of package x509
	Helper   string    // program that talks to Oracle
	Programs *Programs // that it belongs to; may be nil
}

// Format implements fmt.Formatter: a target holds secrets, so every verb prints
// its address alone.
func (t Target) Format(f fmt.State, _ rune) { fmt.Fprint(f, t.Addr.String()) }

// path is the request as the protocols want it that know no leading slash:
// ldirectord takes it off, too.
func (t Target) path() string { return strings.TrimPrefix(t.Request, "/") }

// matches tells whether an answer is the one that is wanted.
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

// Never is the check of what cannot be asked: it always fails.
type Never struct{ Reason error }

// Check implements Checker.
func (n Never) Check(context.Context) error { return n.Reason }

// Negotiate makes the check that talks an application's protocol, by the name
// that ldirectord.cf gives it.
func Negotiate(application string, t Target) (Checker, error) {
	build := applications[application]
	if build == nil {
		return nil, fmt.Errorf("service=%s cannot be asked anything", application)
	}
	checker, err := build(application, t)
	if err != nil {
		return nil, err
	}
	return careful{application, t.Addr, checker, t.secrets()}, nil
}

// careful makes a panic of a library, for what a server has said, a failure of
// the check, and hides the secrets of all reasons.
type careful struct {
	name string
	addr netip.AddrPort
	Checker
	secrets secrets
}

// Check implements Checker.
func (c careful) Check(ctx context.Context) error {
	return c.secrets.hide(carefully(c.name, c.addr, func() error { return c.Checker.Check(ctx) }))
}

func carefully(name string, addr netip.AddrPort, check func() error) (err error) {
	defer func() {
		if what := recover(); what != nil {
			err = named(name, addr, fmt.Errorf("not an answer of %s: %s", name, printable(fmt.Sprint(what))))
		}
	}()
	return check()
}

type builder func(name string, t Target) (Checker, error)

// applications is everything that a negotiate check can talk.
var applications = map[string]builder{
	"dns":        newDNS,
	"ftp":        talking(ftp),
	"http":       newHTTP,
	"https":      newHTTP,
	"http_proxy": newHTTP,
	"imap":       talking(imap),
	"imaps":      talkingTLS(imap),
	"ldap":       talking(ldapSearch),
	"ldaps":      talkingTLS(ldapSearch),
	"mysql":      newMySQL,
	"nntp":       talking(nntp),
	"oracle":     newOracle,
	"pgsql":      newPgSQL,
	"pop":        talking(pop),
	"pops":       talkingTLS(pop),
	"radius":     newRADIUS,
	"simpletcp":  newSimple,
	"sip":        newSIP,
	"smtp":       talking(smtp),
	"submission": talking(smtp),
}

// dialogue is what is said on a connection.
type dialogue func(ctx context.Context, c *conn, t Target) error

func talking(d dialogue) builder {
	return func(name string, t Target) (Checker, error) { return talk{name, t, false, d}, nil }
}

func talkingTLS(d dialogue) builder {
	return func(name string, t Target) (Checker, error) { return talk{name, t, true, d}, nil }
}

// talk is the check that opens a connection and has a dialogue on it.
type talk struct {
	name   string
	target Target
	secure bool
	say    dialogue
}

// Check connects, talks and hangs up.
func (c talk) Check(ctx context.Context) error {
	connection, err := dial(ctx, c.target.Source, c.target.Addr)
	if err != nil {
		return err
	}
	defer func() { _ = connection.Close() }()
	if c.secure {
		err = connection.encrypt(ctx, c.target)
	}
	if err == nil {
		err = c.say(ctx, connection, c.target)
	}
	return named(c.name, c.target.Addr, connection.reason(ctx, err))
}

// named puts protocol and server in front of a reason.
func named(name string, server fmt.Stringer, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %s: %w", name, server, err)
}

// hostName is the name by which a server is called in HTTP and TLS.
func (t Target) hostName() string {
	if t.Host == "" {
		return t.Addr.Addr().WithZone("").String()
	}
	if host, _, err := net.SplitHostPort(t.Host); err == nil {
		return host
	}
	return strings.Trim(t.Host, "[]")
}

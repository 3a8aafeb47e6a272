package check

import (
	"context"
	"fmt"
	"net/netip"
)

// applications has the builder of each negotiate check, by the name of the protocol in
// ldirectord.cf.
var applications = map[string]builder{
	"agent-check": talking(agent),
	"dns":         newDNS,
	"ftp":         talking(ftp),
	"http":        newHTTP,
	"https":       newHTTP,
	"http_proxy":  newHTTP,
	"imap":        talking(imap),
	"imaps":       talkingTLS(imap),
	"ldap":        talking(ldapSearch),
	"ldaps":       talkingTLS(ldapSearch),
	"mysql":       newMySQL,
	"nntp":        talking(nntp),
	"oracle":      newOracle,
	"pgsql":       newPgSQL,
	"pop":         talking(pop),
	"pops":        talkingTLS(pop),
	"radius":      newRADIUS,
	"simpletcp":   newSimple,
	"sip":         newSIP,
	"smtp":        talking(smtp),
	"submission":  talking(smtp),
}

// builder makes the check of one protocol.
type builder func(name string, t Target) (Checker, error)

// Negotiate makes the check of an application protocol. application is the name of the protocol in
// ldirectord.cf.
func Negotiate(application string, t Target) (Checker, error) {
	build := applications[application]
	if build == nil {
		return nil, fmt.Errorf("service=%s has no query", application)
	}
	checker, err := build(application, t)
	if err != nil {
		return nil, err
	}
	return careful{application, t.Addr, checker, t.secrets()}, nil
}

// careful runs a check. If a library panics, the check fails: the reply of a server can cause a
// panic. careful also hides the secrets in all reasons.
type careful struct {
	name string
	addr netip.AddrPort
	Checker
	secrets secrets
}

// Check runs the check, and hides the secrets in its error.
func (c careful) Check(ctx context.Context) error {
	tracerOf(ctx).hides(c.secrets)
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

// dialogue talks one protocol over a connection and judges the replies.
type dialogue func(ctx context.Context, c *conn, t Target) error

func talking(d dialogue) builder {
	return func(name string, t Target) (Checker, error) { return talk{name, t, false, d}, nil }
}

func talkingTLS(d dialogue) builder {
	return func(name string, t Target) (Checker, error) { return talk{name, t, true, d}, nil }
}

// talk is a check that opens a connection, with TLS if secure is set, and has a dialogue over it.
type talk struct {
	name   string
	target Target
	secure bool
	say    dialogue
}

// Check opens a connection, runs the dialogue and closes the connection.
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

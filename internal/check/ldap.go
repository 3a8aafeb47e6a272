package check

import (
	"context"
	"errors"
	"fmt"

	"github.com/go-ldap/ldap/v3"
)

// ldapSearch is good when the server lets us in, anonymously without Login and
// Passwd, and has the entry that Request names, the root without one.
func ldapSearch(ctx context.Context, c *conn, t Target) error {
	session := ldap.NewConn(c, false) // false: the connection has no TLS that it started
	session.Start()
	defer func() { _ = session.Close() }()
	unbound, err := ldapBind(session, t)
	if err != nil {
		return fmt.Errorf("bind: %w", ldapReason(c, err))
	}
	found, err := session.Search(&ldap.SearchRequest{
		BaseDN: t.path(), Scope: ldap.ScopeBaseObject, DerefAliases: ldap.DerefFindingBaseObj, // as Net::LDAP
		Filter: "(objectClass=*)", Attributes: []string{"1.1"}, SizeLimit: 2,
	})
	switch {
	case err != nil && unbound != nil:
		return fmt.Errorf("bind: %w", ldapReason(c, unbound))
	case err != nil:
		return fmt.Errorf("search: %w", ldapReason(c, err))
	case len(found.Entries) != 1:
		return fmt.Errorf("search: %d entries instead of one", len(found.Entries))
	}
	return t.expect(ctx, []byte(found.Entries[0].DN), "the entry's name")
}

// ldapBind logs in. Some servers require a bind of anonymous clients (slapd's "require bind").
// Others refuse it and let such clients search: unbound is the refusal.
func ldapBind(session *ldap.Conn, t Target) (unbound, err error) {
	if t.Login != "" && t.Passwd != "" {
		return nil, session.Bind(t.Login, t.Passwd)
	}
	err = session.UnauthenticatedBind("")
	if refusal, ok := errors.AsType[*ldap.Error](err); ok && refusal.ResultCode < ldap.ErrorNetwork {
		return err, nil
	}
	return nil, err
}

// ldapReason returns the reason. The error of the library for an end of the connection depends on
// which of its goroutines finds it first.
func ldapReason(c *conn, err error) error {
	if e, ok := errors.AsType[*ldap.Error](err); ok && e.ResultCode < ldap.ErrorNetwork { // what the server said
		return err
	}
	if c.raw.read.Load() == 0 {
		return errClosed
	}
	return errors.New("closed in the middle of the answer, or not an answer of LDAP")
}

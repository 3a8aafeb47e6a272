package check

import (
	"context"
	"errors"
	"fmt"

	"github.com/go-ldap/ldap/v3"
)

// ldapSearch is good if the server accepts the login and has the entry that Request names. Without
// Login and Passwd the login is anonymous. Without Request the entry is the root.
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
// Some servers refuse the bind and let anonymous clients search: then unbound is the refusal.
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

// ldapReason returns the reason. It replaces the error of the library for a closed connection,
// which depends on the goroutine that finds it first.
func ldapReason(c *conn, err error) error {
	if e, ok := errors.AsType[*ldap.Error](err); ok && e.ResultCode < ldap.ErrorNetwork { // what the server said
		return err
	}
	if c.raw.read.Load() == 0 {
		return errClosed
	}
	return errors.New("closed in the middle of the answer, or not an answer of LDAP")
}

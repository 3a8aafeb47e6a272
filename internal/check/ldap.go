package check

import (
	"context"
	"errors"
	"fmt"

	"github.com/go-ldap/ldap/v3"
)

// ldapSearch checks an LDAP server. The check is good if the server has the entry that Request
// names, and the name of the entry matches Receive. If Request is empty, the entry is the root. If
// Login or Passwd is empty, the check logs in as an anonymous client, and the server can refuse the
// login. Otherwise the server must accept the login.
func ldapSearch(ctx context.Context, c *conn, t Target) error {
	session := ldap.NewConn(c, false) // The library uses this value only for STARTTLS, which a check does not use.
	session.Start()
	defer func() { _ = session.Close() }()
	unbound, err := ldapBind(session, t)
	if err != nil {
		return fmt.Errorf("bind: %w", ldapReason(c, err))
	}
	found, err := session.Search(&ldap.SearchRequest{
		// Perl's Net::LDAP has the same default for DerefAliases.
		BaseDN: t.path(), Scope: ldap.ScopeBaseObject, DerefAliases: ldap.DerefFindingBaseObj,
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

// ldapBind logs in. Without a login, it sends a bind as an anonymous client, because some servers
// require this bind (slapd's "require bind"). Other servers refuse the bind, but let anonymous
// clients search. If the server refuses the anonymous bind, unbound is the refusal and err is nil.
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

// ldapReason returns the error that the server sent. Otherwise, it returns its own error, because
// the error of the library depends on the goroutine that finds a closed connection first.
func ldapReason(c *conn, err error) error {
	// The server sent this error. Errors with larger codes come from the library.
	if e, ok := errors.AsType[*ldap.Error](err); ok && e.ResultCode < ldap.ErrorNetwork {
		return err
	}
	if c.raw.read.Load() == 0 {
		return errClosed
	}
	return errors.New("closed in the middle of the answer, or not an answer of LDAP")
}

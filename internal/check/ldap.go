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
	session := ldap.NewConn(c, false) // it starts no TLS by itself, either way
	session.Start()
	defer func() { _ = session.Close() }()
	if t.Login != "" && t.Passwd != "" {
		if err := session.Bind(t.Login, t.Passwd); err != nil {
			return fmt.Errorf("bind: %w", ldapReason(c, err))
		}
	}
	found, err := session.Search(&ldap.SearchRequest{
		BaseDN: t.path(), Scope: ldap.ScopeBaseObject, Filter: "(objectClass=*)", Attributes: []string{"1.1"}, SizeLimit: 2,
	})
	switch {
	case err != nil:
		return fmt.Errorf("search: %w", ldapReason(c, err))
	case len(found.Entries) != 1:
		return fmt.Errorf("search: %d entries instead of one", len(found.Entries))
	}
	return t.expect(ctx, []byte(found.Entries[0].DN), "the entry's name")
}

// ldapReason is what is wrong. Which error the library has for an end of the
// connection depends on which of its goroutines sees it first.
func ldapReason(c *conn, err error) error {
	if e, ok := errors.AsType[*ldap.Error](err); ok && e.ResultCode < ldap.ErrorNetwork { // what the server said
		return err
	}
	if c.raw.read.Load() == 0 {
		return errClosed
	}
	return errors.New("closed in the middle of the answer, or not an answer of LDAP")
}

package check

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// PgSQL is a check that logs in and, with Request, runs a query. The result of the query must have
// a row. The check prefers TLS and accepts a connection without TLS, as the clients of PostgreSQL
// do.
type PgSQL struct {
	Target
	config *pgconn.Config
}

func newPgSQL(_ string, t Target) (Checker, error) {
	if t.Login == "" {
		return nil, errLogin("pgsql")
	}
	// The library reads missing settings from the environment and from files of the user. So this
	// text has all settings. The library still returns an error if PGSERVICE names a service that
	// is not in its file.
	setting := func(value string) string {
		return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(value) + "'"
	}
	database := t.Database
	if database == "" {
		database = t.Login
	}
	config, err := pgconn.ParseConfig(fmt.Sprintf("host=%s port=%d user=%s password=%s dbname=%s passfile=/dev/null connect_timeout=0 target_session_attrs=any "+
		"sslmode=prefer sslnegotiation=postgres sslsni=1 sslcert='' sslkey='' sslpassword='' sslrootcert='' sslcertmode=allow "+
		"channel_binding=prefer require_auth='' min_protocol_version='' max_protocol_version=''",
		setting(t.Addr.Addr().String()), t.Addr.Port(), setting(t.Login), setting(t.Passwd), setting(database)))
	if err != nil {
		// The error of the library is left out, because it contains the password.
		return nil, errors.New("login, passwd or database is not usable for PostgreSQL, or PGSERVICE names an unknown service")
	}
	config.Password = t.Passwd // also replaces the library's value if the password is empty
	config.RuntimeParams = map[string]string{"application_name": "directord"}
	config.BuildFrontend = func(r io.Reader, w io.Writer) *pgproto3.Frontend {
		frontend := pgproto3.NewFrontend(r, w)
		frontend.SetMaxBodyLen(maxBody)
		return frontend
	}
	return PgSQL{t, config}, nil
}

// Check logs in and, with Request, runs the query.
func (p PgSQL) Check(ctx context.Context) error {
	d := &attemptsOf{PgSQL: p}
	config := p.config.Copy()
	config.DialFunc = func(ctx context.Context, _, _ string) (net.Conn, error) { return d.dial(ctx) }
	session, err := pgconn.ConnectConfig(ctx, config)
	last, failed := d.end()
	if failed != nil {
		return failed
	}
	if err == nil {
		err = p.query(ctx, session)
		_ = session.Close(ctx) // An error of Close is ignored: the result of the check is already known.
	}
	return named("pgsql", p.Addr, last.reason(ctx, pgReason(err)))
}

// attemptsOf opens the connections of one check, with TLS and without TLS. After the end of the
// check, it opens no connection. Otherwise, the library would open connections in the background to
// cancel queries.
type attemptsOf struct {
	PgSQL
	mu    sync.Mutex
	last  *conn
	err   error
	ended bool
}

func (a *attemptsOf) dial(ctx context.Context) (net.Conn, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ended || a.last != nil && (ctx.Err() != nil || a.last.raw.late.Load()) {
		return nil, net.ErrClosed
	}
	a.last, a.err = dial(ctx, a.Source, a.Addr)
	return a.last, a.err
}

func (a *attemptsOf) end() (*conn, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ended = true
	return a.last, a.err
}

func (p PgSQL) query(ctx context.Context, session *pgconn.PgConn) error {
	query := p.Target.query()
	if query == "" {
		return nil
	}
	results := session.Exec(ctx, query)
	for results.NextResult() {
		if results.ResultReader().NextRow() {
			return nil
		}
	}
	if err := results.Close(); err != nil {
		return fmt.Errorf("query: %w", pgReason(err))
	}
	return errNoRow
}

// pgReason returns an error without the text that the library adds. The error is the message of the
// server, or the reason why the last connection failed.
func pgReason(err error) error {
	if said, ok := errors.AsType[*pgconn.PgError](err); ok {
		return fmt.Errorf("%s: %s", said.Severity, said.Message)
	}
	if failed, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		// The text has one line for each connection. A line begins with the addresses.
		text := failed.Error()
		text = text[strings.LastIndex(text, "\n")+1:]
		if _, reason, found := strings.Cut(text, "): "); found {
			return sameKind{reason, err}
		}
	}
	return err
}

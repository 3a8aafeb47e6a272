// Package query logs in to an Oracle database and runs a query. Only the program directord-oracle
// imports this package, because the Oracle library is larger than directord.
package query

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"syscall"

	go_ora "github.com/sijms/go-ora/v2"

	"lvs-agents/internal/check/oracle"
)

// Run reads an oracle.Question from input and queries the server. It returns nil if the reply is
// good: the login succeeds, and the query, if there is one, has a row. Otherwise, the error is the
// reason.
func Run(ctx context.Context, input io.Reader) error {
	err := run(ctx, input)
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return errno // errno is the error without addresses. directord adds the address.
	}
	return err
}

func run(ctx context.Context, input io.Reader) (err error) {
	defer func() {
		if recover() != nil || errors.Is(err, io.EOF) { // the library can panic on a reply that is not valid
			err = errors.New("not an answer of Oracle")
		}
	}()
	var q oracle.Question
	if err := json.NewDecoder(input).Decode(&q); err != nil {
		return fmt.Errorf("question: %w", err)
	}
	connector := go_ora.NewConnector(go_ora.BuildUrl(q.Addr.Addr().String(), int(q.Addr.Port()), "", q.Login, q.Passwd, map[string]string{"SID": q.Database}))
	if own, ok := connector.(*go_ora.OracleConnector); ok {
		own.Dialer(dialer{q})
	}
	db := sql.OpenDB(connector)
	defer func() { _ = db.Close() }() // An error of Close is ignored: the program exits after this function.
	if q.Query == "" {
		return db.PingContext(ctx)
	}
	rows, err := db.QueryContext(ctx, q.Query)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	if !rows.Next() {
		return errors.Join(rows.Err(), errors.New("the query has no row"))
	}
	return nil
}

// dialer connects to the server from the source address that directord has chosen. It ignores the
// address that the library passes, because an Oracle listener can redirect clients to another host.
type dialer struct{ oracle.Question }

// maxAnswer is how many bytes the library can read from one connection.
const maxAnswer = 4 << 20

// DialContext opens a TCP connection for the library go_ora. It uses the addresses in the Question.
func (d dialer) DialContext(ctx context.Context, network, _ string) (net.Conn, error) {
	var own net.Dialer
	c, err := own.DialTCP(ctx, network, netip.AddrPortFrom(d.Source, 0), d.Addr)
	if err != nil {
		return nil, err
	}
	return &bounded{Conn: c}, nil
}

// bounded is a connection that reads about maxAnswer bytes at most.
type bounded struct {
	net.Conn
	read int
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.read >= maxAnswer {
		return 0, errors.New("too long an answer")
	}
	n, err := b.Conn.Read(p)
	b.read += n
	return n, err
}

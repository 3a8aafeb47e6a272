// Package query logs in at an Oracle database and runs a query, for directord-oracle.
// Only that program imports it: the library of the protocol is larger than directord.
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

// Run reads an oracle.Question, queries the server, and returns why its reply is not
// good. A reply is good if it has a row.
func Run(ctx context.Context, input io.Reader) error {
	err := run(ctx, input)
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return errno // without the addresses, which directord adds
	}
	return err
}

func run(ctx context.Context, input io.Reader) (err error) {
	defer func() {
		if recover() != nil || errors.Is(err, io.EOF) { // the library trusts what it reads
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
	defer func() { _ = db.Close() }() // the program ends
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

// dialer connects to the server from the address that directord has chosen. It ignores
// the address that the library wants: a listener can redirect elsewhere.
type dialer struct{ oracle.Question }

// maxAnswer bounds the bytes that are read in all.
const maxAnswer = 4 << 20

// DialContext implements the library's interface.
func (d dialer) DialContext(ctx context.Context, network, _ string) (net.Conn, error) {
	var own net.Dialer
	c, err := own.DialTCP(ctx, network, netip.AddrPortFrom(d.Source, 0), d.Addr)
	if err != nil {
		return nil, err
	}
	return &bounded{Conn: c}, nil
}

// bounded reads no more than maxAnswer.
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

package check

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/go-sql-driver/mysql"
)

// MySQL is a check that logs in and, with Request, runs a query. The result of the query must have
// a row.
type MySQL struct {
	Target
	config *mysql.Config
}

func newMySQL(_ string, t Target) (Checker, error) {
	if t.Login == "" {
		return nil, errLogin("mysql")
	}
	config := mysql.NewConfig()
	config.User, config.Passwd, config.DBName = t.Login, t.Passwd, t.Database
	config.Net, config.Addr = "tcp", t.Addr.String()
	config.Logger = &mysql.NopLogger{}
	return MySQL{t, config}, nil
}

func errLogin(name string) error {
	return fmt.Errorf("service=%s needs a user; add login=NAME and passwd=PASSWORD", name)
}

// query returns the database query in Request. If Request is only a slash, the check has no query.
func (t Target) query() string {
	if t.Request == "/" {
		return ""
	}
	return t.Request
}

var errNoRow = errors.New("the query has no row")

// Check logs in and, with Request, runs the query.
func (m MySQL) Check(ctx context.Context) error {
	connection, err := dial(ctx, m.Source, m.Addr)
	if err != nil {
		return err
	}
	defer func() { _ = connection.Close() }()
	return named("mysql", m.Addr, connection.reason(ctx, m.talk(ctx, connection)))
}

func (m MySQL) talk(ctx context.Context, c *conn) error {
	framed := &packets{Conn: c}
	config := m.config.Clone()
	config.DialFunc = func(context.Context, string, string) (net.Conn, error) { return framed, nil }
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return err
	}
	err = m.session(ctx, connector)
	if err != nil && framed.err != nil { // The driver hides the error of the type packets, so Check returns that error.
		return framed.err
	}
	return err
}

func (m MySQL) session(ctx context.Context, connector driver.Connector) error {
	session, err := connector.Connect(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = session.Close() }()
	if m.query() == "" {
		return nil
	}
	// This function does not close the rows, because Close reads the rest of a large result.
	querier, ok := session.(driver.QueryerContext)
	if !ok {
		return errors.New("the driver has no queries")
	}
	rows, err := querier.QueryContext(ctx, m.query(), nil)
	if err != nil {
		return fmt.Errorf("query: %w", err)
	}
	err = rows.Next(make([]driver.Value, len(rows.Columns())))
	if errors.Is(err, io.EOF) {
		return errNoRow
	}
	return err
}

// packets checks the lengths of MySQL packets. The driver allocates as many bytes as a packet
// header announces, up to 16 MiB, even if the server does not speak MySQL.
type packets struct {
	net.Conn
	// header is the length in 3 bytes, lowest byte first, and then a sequence number.
	header [4]byte
	have   int // have is how many bytes of the header were read.
	body   int // body is the number of bytes of the packet that have not been read.
	err    error
}

func (p *packets) Read(b []byte) (int, error) {
	if p.err != nil {
		return 0, p.err
	}
	n, err := p.Conn.Read(b)
	for rest := b[:n]; len(rest) > 0 && p.err == nil; {
		if p.body > 0 {
			skip := min(p.body, len(rest))
			p.body -= skip
			rest = rest[skip:]
			continue
		}
		p.header[p.have] = rest[0]
		p.have, rest = p.have+1, rest[1:]
		if p.have == len(p.header) {
			p.have = 0
			p.body = int(p.header[0]) | int(p.header[1])<<8 | int(p.header[2])<<16
			if p.body > maxBody {
				p.err = fmt.Errorf("a packet of %d bytes: this is not MySQL, or a very large row", p.body)
				n -= len(rest) + len(p.header) // The caller gets only the bytes before this packet.
			}
		}
	}
	if p.err != nil && n <= 0 {
		return 0, p.err
	}
	return n, err
}

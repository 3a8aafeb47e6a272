package check

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
)

// ftp checks an FTP server. The check is good if the server accepts the login and, with Request,
// sends a file that matches Receive (RFC 959, RFC 2428).
func ftp(ctx context.Context, c *conn, t Target) error {
	l := newLines(c)
	if _, err := l.reply("greeting", 2); err != nil {
		return err
	}
	login, passwd := t.Login, t.Passwd
	if login == "" {
		login, passwd = "anonymous", "ldirectord@localhost.localdomain"
	}
	if err := l.login(login, passwd); err != nil {
		return err
	}
	if t.path() != "" {
		if err := l.retrieve(ctx, t); err != nil {
			return err
		}
	}
	l.bye("QUIT")
	return nil
}

// login sends the name of the user. It also sends the password if the server requests a password.
func (l lines) login(name, passwd string) error {
	if err := l.send("USER", name); err != nil {
		return err
	}
	code, text, err := l.response("USER")
	switch {
	case err != nil:
		return err
	case code/100 == 3:
		_, err = l.command(2, "PASS", passwd)
		return err
	case code/100 != 2:
		return refused{"USER", code, text}
	}
	return nil
}

// retrieve reads a file in passive mode. It connects to the address of the target even if the
// server names another address, so that a check reaches no other host.
func (l lines) retrieve(ctx context.Context, t Target) error {
	_, err := l.command(2, "TYPE", "I")
	// The server can refuse TYPE and still send a file that matches.
	if _, no := errors.AsType[refused](err); err != nil && !no {
		return err
	}
	port, err := l.passive()
	if err != nil {
		return err
	}
	data, err := dial(ctx, t.Source, netip.AddrPortFrom(t.Addr.Addr(), port))
	if err != nil {
		return fmt.Errorf("data connection: %w", err)
	}
	defer func() { _ = data.Close() }()
	if _, err := l.command(1, "RETR", t.Request); err != nil {
		return err
	}
	file, err := io.ReadAll(io.LimitReader(data, maxBody))
	if err != nil {
		return fmt.Errorf("RETR: %w", data.reason(ctx, err))
	}
	// After maxBody bytes, the server can still be sending, and there is no reply yet.
	if len(file) < maxBody {
		if _, err := l.reply("RETR", 2); err != nil {
			return err
		}
	}
	return t.expect(ctx, file, "the file")
}

// passive requests a data port with EPSV. If the server refuses EPSV or returns no port, passive
// sends PASV.
func (l lines) passive() (uint16, error) {
	text, err := l.command(2, "EPSV")
	if _, no := errors.AsType[refused](err); err != nil && !no {
		return 0, err
	}
	if port, ok := epsvPort(text); err == nil && ok {
		return port, nil
	}
	if text, err = l.command(2, "PASV"); err != nil {
		return 0, err
	}
	return pasvPort(text)
}

// epsvPort returns the port in the reply to EPSV, which has the form (|||6446|) (RFC 2428 3).
func epsvPort(text string) (port uint16, ok bool) {
	_, text, _ = strings.Cut(text, "(|||")
	text, _, _ = strings.Cut(text, "|")
	n, err := strconv.ParseUint(text, 10, 16)
	return uint16(n), err == nil
}

// pasvPort returns the port in the reply to PASV. The last two of its six numbers are the two bytes
// of the port.
func pasvPort(text string) (uint16, error) {
	numbers := strings.FieldsFunc(text, func(r rune) bool { return r < '0' || r > '9' })
	if len(numbers) < 6 {
		return 0, errors.New("PASV: no port in the answer")
	}
	high, err := strconv.ParseUint(numbers[len(numbers)-2], 10, 8)
	low, other := strconv.ParseUint(numbers[len(numbers)-1], 10, 8)
	if err = errors.Join(err, other); err != nil {
		return 0, errors.New("PASV: no port in the answer")
	}
	return uint16(high<<8 | low), nil
}

package check

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// SIP is a check that sends an OPTIONS request. RFC 3261 11 requires a reply to OPTIONS from every
// SIP server. The check is good if the status of the reply is 200.
type SIP struct{ Target }

func newSIP(_ string, t Target) (Checker, error) {
	if strings.ContainsAny(t.Login, "\r\n <>") {
		return nil, errors.New("login is not a SIP address; write USER@HOST")
	}
	return SIP{t}, nil
}

// Check sends an OPTIONS request over UDP or TCP, and judges the reply.
func (s SIP) Check(ctx context.Context) error {
	if !s.UDP {
		return talk{"sip", s.Target, false, s.over}.Check(ctx)
	}
	c, err := s.datagrams(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	request, id := s.options("UDP", c.LocalAddr().String())
	err = c.exchange(ctx, request, func(answer []byte) (bool, error) { return s.verdict(id, answer) })
	return named("sip", s.Addr, c.reason(ctx, err))
}

func (s SIP) over(_ context.Context, c *conn, _ Target) error {
	request, id := s.options("TCP", c.LocalAddr().String())
	if _, err := c.Write(request); err != nil {
		return err
	}
	reader := bufio.NewReader(c)
	for {
		header, err := sipHeader(reader)
		if err != nil {
			return err
		}
		if done, err := s.verdict(id, header); done || err != nil {
			return err
		}
		if _, err := io.CopyN(io.Discard, reader, sipBody(header)); err != nil {
			return err
		}
	}
}

// sipHeader reads the header of a reply, including the empty line at its end. If the reply is not
// SIP, it returns the bytes that have arrived.
func sipHeader(reader *bufio.Reader) ([]byte, error) {
	begin, err := reader.Peek(len(version))
	if err != nil {
		return nil, err
	}
	if string(begin) != version {
		return reader.Peek(reader.Buffered())
	}
	var header []byte
	for !bytes.HasSuffix(header, []byte("\n\r\n")) && !bytes.HasSuffix(header, []byte("\n\n")) {
		part, err := reader.ReadSlice('\n')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return nil, err
		}
		if header = append(header, part...); len(header) > maxHeader {
			return nil, errEndless
		}
	}
	return header, nil
}

// sipBody returns the length of the body after a header (RFC 3261 18.3).
func sipBody(header []byte) int64 {
	for line := range strings.Lines(string(header)) {
		name, value, _ := strings.Cut(line, ":")
		if name = strings.TrimSpace(name); strings.EqualFold(name, "Content-Length") || strings.EqualFold(name, "l") {
			size, err := strconv.ParseUint(strings.TrimSpace(value), 10, 31)
			if err == nil {
				return int64(size)
			}
		}
	}
	return 0
}

// options makes an OPTIONS request with new identifiers. id is the identifier that the reply must
// contain.
func (s SIP) options(transport, local string) (request []byte, id string) {
	id = rand.Text()
	uri := "sip:" + s.Login
	if s.Login == "" {
		uri += s.Addr.String()
	}
	return fmt.Appendf(nil, "OPTIONS %s SIP/2.0\r\nVia: SIP/2.0/%s %s;branch=z9hG4bK%s;rport\r\nMax-Forwards: 70\r\n"+
		"To: <%s>\r\nFrom: <%s>;tag=%s\r\nCall-ID: %s\r\nCSeq: 1 OPTIONS\r\nContact: <sip:directord@%s>\r\n"+
		"Accept: application/sdp\r\nContent-Length: 0\r\n\r\n", uri, transport, local, id, uri, uri, id[:8], id, local), id
}

// version is the text at the beginning of every SIP reply.
const version = "SIP/2.0 "

// verdict judges a reply. It returns false for a provisional reply, and for a reply to another
// request. The error is the reason why the reply is bad.
func (s SIP) verdict(id string, answer []byte) (bool, error) {
	header, _, whole := bytes.Cut(bytes.ReplaceAll(answer, []byte("\r\n"), []byte("\n")), []byte("\n\n"))
	line, _, _ := strings.Cut(string(header), "\n")
	switch {
	case !strings.HasPrefix(line, version):
		return true, unexpected("OPTIONS", line)
	case !whole:
		return true, errors.New("OPTIONS: the header of the answer does not end")
	case !bytes.Contains(header, []byte(id)), strings.HasPrefix(line, version+"1"):
		return false, nil
	case !strings.HasPrefix(line, version+"200"):
		return true, unexpected("OPTIONS", line)
	}
	return true, nil
}

package check

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

// DNS is a check that queries the addresses of a name, or the names of an address. It is good if an
// A, AAAA or PTR record of the reply matches Receive. If Receive is nil, any of these records is
// good.
type DNS struct {
	Target
	// questions are the queries. The check sends them in this order. It sends the next query only
	// if the reply to the previous query had no A, AAAA or PTR record.
	questions []dnsmessage.Question
}

func newDNS(_ string, t Target) (Checker, error) {
	text := t.path()
	if text == "" {
		return nil, errors.New("service=dns needs a name to query; add request=NAME")
	}
	types := []dnsmessage.Type{dnsmessage.TypeA, dnsmessage.TypeAAAA}
	if addr, err := netip.ParseAddr(text); err == nil {
		text, types = reverse(addr), []dnsmessage.Type{dnsmessage.TypePTR}
	}
	name, err := dnsmessage.NewName(strings.TrimSuffix(text, ".") + ".")
	if err != nil {
		return nil, fmt.Errorf("request=%q: %w", t.Request, err)
	}
	d := DNS{Target: t}
	for _, kind := range types {
		question := dnsmessage.Question{Name: name, Type: kind, Class: dnsmessage.ClassINET}
		if _, err := pack(0, question); err != nil {
			return nil, fmt.Errorf("request=%q is not a DNS name: %w", t.Request, err)
		}
		d.questions = append(d.questions, question)
	}
	return d, nil
}

// reverse returns the name for a query of the names of an address (RFC 1035 3.5, RFC 3596 2.5).
func reverse(addr netip.Addr) string {
	bytes := addr.AsSlice()
	var b strings.Builder
	for i := len(bytes) - 1; i >= 0; i-- {
		if addr.Is4() {
			fmt.Fprintf(&b, "%d.", bytes[i])
			continue
		}
		fmt.Fprintf(&b, "%x.%x.", bytes[i]&15, bytes[i]>>4)
	}
	if addr.Is4() {
		return b.String() + "in-addr.arpa"
	}
	return b.String() + "ip6.arpa"
}

func pack(id uint16, question dnsmessage.Question) ([]byte, error) {
	m := dnsmessage.Message{Header: dnsmessage.Header{ID: id, RecursionDesired: true}, Questions: []dnsmessage.Question{question}}
	return m.Pack()
}

// Check sends the queries in order, until a reply has an A, AAAA or PTR record, or a query fails.
func (d DNS) Check(ctx context.Context) error {
	err := errors.New("no question")
	for _, question := range d.questions {
		err = d.query(ctx, question)
		if !errors.Is(err, errEmpty) {
			break
		}
	}
	return err
}

// After errEmpty, the check sends the next query, if there is one. After errCut, it sends the same
// query over TCP.
var (
	errEmpty = errors.New("an answer without an A, AAAA or PTR record")
	errCut   = errors.New("the answer is too long for UDP")
)

func (d DNS) query(ctx context.Context, question dnsmessage.Question) error {
	id := uint16(rand.Uint32())
	message, err := pack(id, question)
	if err != nil {
		return err
	}
	if d.UDP {
		err := d.exchanging(ctx, "dns", message, func(answer []byte) (bool, error) { return d.verdict(ctx, id, answer) })
		if !errors.Is(err, errCut) {
			return err
		}
	}
	return talk{"dns", d.Target, false, func(ctx context.Context, c *conn, _ Target) error {
		answer, err := stream(c, message)
		if err != nil {
			return err
		}
		done, err := d.verdict(ctx, id, answer)
		if err == nil && !done {
			return errors.New("answered another question")
		}
		return err
	}}.Check(ctx)
}

// stream sends a query over TCP and returns the reply. Each message over TCP begins with its length
// (RFC 1035 4.2.2).
func stream(c io.ReadWriter, message []byte) ([]byte, error) {
	if _, err := c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(message))), message...)); err != nil {
		return nil, err
	}
	var size [2]byte
	if _, err := io.ReadFull(c, size[:]); err != nil {
		return nil, err
	}
	answer := make([]byte, binary.BigEndian.Uint16(size[:]))
	_, err := io.ReadFull(c, answer)
	return answer, err
}

// verdict judges a message. It returns false if the message is not a reply to the query with this
// id. The error is the reason why the reply is bad.
func (d DNS) verdict(ctx context.Context, id uint16, answer []byte) (bool, error) {
	var m dnsmessage.Message
	if err := m.Unpack(answer); err != nil {
		return true, errors.New("not an answer of DNS")
	}
	if m.ID != id || !m.Response {
		return false, nil
	}
	if m.RCode != dnsmessage.RCodeSuccess {
		return true, fmt.Errorf("answered %s", rcode(m.RCode))
	}
	found := 0
	for _, r := range m.Answers {
		if text := record(r.Body); text != "" {
			found++
			if good, err := d.matches(ctx, []byte(text)); good || err != nil {
				return true, err
			}
		}
	}
	switch {
	case m.Truncated:
		return true, errCut
	case found == 0:
		return true, errEmpty
	}
	return true, fmt.Errorf("nothing in the answer matches %q", d.Receive.String())
}

// rcode describes a response code. It begins with the name that dig prints.
func rcode(code dnsmessage.RCode) string {
	switch code {
	case dnsmessage.RCodeSuccess:
	case dnsmessage.RCodeFormatError:
		return "FORMERR"
	case dnsmessage.RCodeServerFailure:
		return "SERVFAIL"
	case dnsmessage.RCodeNameError:
		return "NXDOMAIN, the name does not exist"
	case dnsmessage.RCodeNotImplemented:
		return "NOTIMP"
	case dnsmessage.RCodeRefused:
		return "REFUSED, it does not serve this name, or not to this client"
	}
	return code.String()
}

// record returns the text of a record. The text is empty if the check does not query records of
// this type.
func record(body dnsmessage.ResourceBody) string {
	switch r := body.(type) {
	case *dnsmessage.AResource:
		return netip.AddrFrom4(r.A).String()
	case *dnsmessage.AAAAResource:
		return netip.AddrFrom16(r.AAAA).String()
	case *dnsmessage.PTRResource:
		return strings.TrimSuffix(r.PTR.String(), ".")
	}
	return ""
}

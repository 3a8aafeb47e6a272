package check

import (
	"context"
	"crypto/hmac"
	"crypto/md5"
	"errors"
	"fmt"
	"net"

	"layeh.com/radius"
	"layeh.com/radius/rfc2865"
	"layeh.com/radius/rfc2869"
)

// RADIUS is a check that requests access for a user with a password (RFC 2865, by PAP). It is good
// if the reply is Access-Accept.
type RADIUS struct{ Target }

func newRADIUS(_ string, t Target) (Checker, error) {
	r := RADIUS{t}
	if t.Login == "" || t.Secret == "" {
		return nil, errors.New("service=radius needs a user and the shared secret; add login=NAME, passwd=PASSWORD and secret=SECRET")
	}
	_, err := r.request(net.IPv4zero)
	return r, err
}

// request makes an Access-Request with the signature of RFC 3579 3.2. Servers with the fix of
// CVE-2024-3596 can refuse requests without this signature.
func (r RADIUS) request(own net.IP) (*radius.Packet, error) {
	p := radius.New(radius.CodeAccessRequest, []byte(r.Secret))
	errs := []error{
		rfc2869.MessageAuthenticator_Set(p, make([]byte, md5.Size)),
		rfc2865.UserName_SetString(p, r.Login),
		rfc2865.UserPassword_SetString(p, r.Passwd),
	}
	if own.To4() != nil {
		errs = append(errs, rfc2865.NASIPAddress_Set(p, own))
	} else {
		errs = append(errs, rfc2865.NASIdentifier_SetString(p, "directord"))
	}
	unsigned, err := p.MarshalBinary()
	if err = errors.Join(append(errs, err)...); err != nil {
		return nil, fmt.Errorf("login or passwd does not fit into a request: %w", err)
	}
	sum := hmac.New(md5.New, p.Secret)
	_, _ = sum.Write(unsigned) // Write of a hash never fails
	return p, rfc2869.MessageAuthenticator_Set(p, sum.Sum(nil))
}

// Check sends an Access-Request and judges the reply.
func (r RADIUS) Check(ctx context.Context) error {
	c, err := r.datagrams(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	err = c.reason(ctx, r.talk(ctx, c))
	if errors.Is(err, errSilent) {
		err = fmt.Errorf("%w; a server that does not know the secret, or this host, says nothing", err)
	}
	return named("radius", r.Addr, err)
}

func (r RADIUS) talk(ctx context.Context, c *conn) error {
	own, _ := c.LocalAddr().(*net.UDPAddr)
	request, err := r.request(own.IP)
	if err != nil {
		return err
	}
	question, err := request.Encode()
	if err != nil {
		return err
	}
	return c.exchange(ctx, question, func(answer []byte) (bool, error) { return r.verdict(request, question, answer) })
}

func (r RADIUS) verdict(request *radius.Packet, question, answer []byte) (bool, error) {
	response, err := radius.Parse(answer, request.Secret)
	switch {
	case err != nil:
		return true, errors.New("not an answer of RADIUS")
	case response.Identifier != request.Identifier:
		return false, nil
	case !radius.IsAuthenticResponse(answer, question, request.Secret):
		return true, errors.New("the answer is signed with another secret")
	case response.Code != radius.CodeAccessAccept:
		return true, fmt.Errorf("answered %s", response.Code)
	}
	return true, nil
}

package check

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// Verify says what of a server's certificate is verified.
type Verify string

// The manners. The zero value is VerifyChain.
const (
	VerifyNothing Verify = "no"
	VerifyChain   Verify = "chain" // a trusted authority has signed it and it is valid now
	VerifyName    Verify = "name"  // and it is for the server's name
)

// encrypt starts TLS on the connection.
func (c *conn) encrypt(ctx context.Context, t Target) error {
	secure := tls.Client(c.Conn, t.tls())
	if err := secure.HandshakeContext(ctx); err != nil {
		return fmt.Errorf("TLS: %w", certificate(c.reason(ctx, err)))
	}
	c.Conn = secure
	return nil
}

// suites is all that the library has, also what it does not offer by itself:
// the secrecy of a check protects little, and a server that prefers better ones
// gets them.
var suites = func() (ids []uint16) {
	for _, s := range slices.Concat(tls.CipherSuites(), tls.InsecureCipherSuites()) {
		ids = append(ids, s.ID)
	}
	return ids
}()

// tls verifies by itself: the library knows only everything and nothing.
func (t Target) tls() *tls.Config {
	config := &tls.Config{
		InsecureSkipVerify: true,
		VerifyConnection:   t.verify,
		CipherSuites:       suites,
		// Post-quantum key shares cost a fifth of a handshake, which protects
		// nothing here.
		CurvePreferences: []tls.CurveID{tls.X25519, tls.CurveP256, tls.CurveP384, tls.CurveP521},
	}
	if _, err := netip.ParseAddr(t.hostName()); err != nil { // RFC 6066 3: names only
		config.ServerName = t.hostName()
	}
	return config
}

func (t Target) verify(state tls.ConnectionState) error {
	if t.Verify == VerifyNothing {
		return nil
	}
	options := x509.VerifyOptions{Roots: t.Roots.current(), Intermediates: x509.NewCertPool()}
	for _, between := range state.PeerCertificates[1:] {
		options.Intermediates.AddCert(between)
	}
	if t.Verify == VerifyName {
		options.DNSName = t.hostName()
	}
	_, err := state.PeerCertificates[0].Verify(options)
	return err
}

// certificate says what is wrong with a certificate, and what can be done.
func certificate(err error) error {
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok && invalid.Reason == x509.Expired {
		return fmt.Errorf("certificate is valid from %s to %s only; renew it, or write verify=no",
			invalid.Cert.NotBefore.Format("2006-01-02 15:04"), invalid.Cert.NotAfter.Format("2006-01-02 15:04"))
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return errors.New("no trusted authority has signed the certificate; add the one that has to the system's, or write verify=no")
	}
	if other, ok := errors.AsType[x509.HostnameError](err); ok {
		return fmt.Errorf("certificate is for other names than %s; set virtualhost, or write verify=chain", other.Host)
	}
	return err
}

package check

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"syscall"

	"lvs-agents/internal/program"

	"golang.org/x/sys/unix"
)

// Verify is how much of the certificate of a server a check verifies.
type Verify string

// The values of Verify. The zero value has the same effect as VerifyChain.
const (
	VerifyNothing Verify = "no"
	// VerifyChain accepts a certificate that is valid now and that a trusted authority has signed.
	VerifyChain Verify = "chain"
	// VerifyName accepts what VerifyChain accepts, if the certificate is for the name of the
	// server.
	VerifyName Verify = "name"
)

// encrypt starts TLS on the connection. If package tls fails and OpenSSL can succeed, encrypt
// replaces the connection by a new connection of the program openssl.
func (c *conn) encrypt(ctx context.Context, t Target) error {
	secure := tls.Client(c.Conn, t.tls())
	err := secure.HandshakeContext(ctx)
	if err == nil {
		c.Conn = secure
		c.tracer.encrypted()
		return nil
	}
	reason := certificate(c.reason(ctx, err))
	if c.raw.read.Load() == 0 || !another(err) {
		return fmt.Errorf("TLS: %w", reason)
	}
	_ = c.Close()
	other, err := t.overOpenSSL(ctx)
	switch {
	case err == nil:
		*c = *other
		c.tracer.encrypted()
		return nil
	case errors.Is(err, unix.EAGAIN): // EAGAIN means that this host lacks a resource. The server is not at fault.
		return fmt.Errorf("openssl: %w", err)
	case errors.Is(err, program.ErrMissing):
		return fmt.Errorf("TLS: %w; install openssl, which may understand this server", reason)
	case ctx.Err() != nil:
		return fmt.Errorf("TLS: %w", reason)
	}
	return fmt.Errorf("TLS: %w; openssl: %w", reason, err)
}

// another reports whether another TLS library can succeed. Another library can succeed if the
// server has used TLS, and neither the connection nor the verification of the certificate has
// failed.
func another(err error) bool {
	_, plaintext := errors.AsType[tls.RecordHeaderError](err)
	_, refuted := errors.AsType[refuted](err)
	_, ended := errors.AsType[syscall.Errno](err)
	return !plaintext && !refuted && !ended && !isTimeout(err) && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF)
}

// suites has every cipher suite of package tls, even the suites that are off by default, because a
// real server can support only old suites. The encryption of a check protects little. A server that
// prefers better suites selects them.
var suites = func() (ids []uint16) {
	for _, s := range slices.Concat(tls.CipherSuites(), tls.InsecureCipherSuites()) {
		ids = append(ids, s.ID)
	}
	return ids
}()

// tls returns a TLS configuration that verifies certificates with the method verify. Package tls
// itself can only verify everything or nothing.
func (t Target) tls() *tls.Config {
	config := &tls.Config{
		InsecureSkipVerify: true,
		VerifyConnection:   t.verify,
		CipherSuites:       suites,
		MinVersion:         tls.VersionTLS10,
		// Old versions of Apache and IIS request a certificate of the client in a second handshake.
		Renegotiation: tls.RenegotiateFreelyAsClient,
		// The list has no post-quantum key shares. They cost a fifth of a handshake and protect
		// nothing here.
		CurvePreferences: []tls.CurveID{tls.X25519, tls.CurveP256, tls.CurveP384, tls.CurveP521},
	}
	// A client can send only a name, not an address (RFC 6066 3).
	if _, err := netip.ParseAddr(t.hostName()); err != nil {
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
	if _, err := state.PeerCertificates[0].Verify(options); err != nil {
		return refuted{err}
	}
	return nil
}

// refuted is the error of a certificate that package x509 could parse, but that did not pass
// verification.
type refuted struct{ error }

// Unwrap lets errors.As find the error of package x509.
func (r refuted) Unwrap() error { return r.error }

// certificate returns an error that explains the fault of a certificate, and the remedy for the
// operator.
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

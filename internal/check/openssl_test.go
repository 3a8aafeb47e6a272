package check

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// authority is a certificate authority of the tests. It can sign certificates that package x509
// refuses to read.
type authority struct {
	der []byte
	key *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	a := authority{key: newKey(t)}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	a.der = a.sign(t, template, template, a.key)
	return a
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (a authority) sign(t *testing.T, template, parent *x509.Certificate, key *ecdsa.PrivateKey) []byte {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// leaf makes a certificate and its key, signed by the authority. change changes the certificate
// before the signature.
func (a authority) leaf(t *testing.T, change func(*x509.Certificate)) ([]byte, *ecdsa.PrivateKey) {
	t.Helper()
	parent, err := x509.ParseCertificate(a.der)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(0x123456789abcdef), Subject: pkix.Name{CommonName: "www.example.org"}, DNSNames: []string{"www.example.org"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
	}
	if change != nil {
		change(template)
	}
	key := newKey(t)
	return a.sign(t, template, parent, key), key
}

// alternative adds an extension subjectAltName with these bytes to a certificate.
func alternative(names ...byte) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		value := append([]byte{0x30, byte(len(names))}, names...)
		c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: value})
	}
}

// oddName is the value of a subjectAltName: the name www.example.org, and an IP address of 8 bytes.
// Package x509 cannot parse this address.
var oddName = append([]byte{0x82, 15}, append([]byte("www.example.org"), 0x87, 8, 192, 0, 2, 21, 255, 255, 255, 0)...)

// secureServer starts a TLS server that calls talk with each connection.
func secureServer(t *testing.T, config *tls.Config, talk func(net.Conn)) netip.AddrPort {
	t.Helper()
	return server(t, func(plain net.Conn) {
		c := tls.Server(plain, config)
		talk(c) // The handshake can fail.
		_ = c.Close()
	})
}

// saying returns a server function. It sends a greeting, and sends an answer after the first data
// that it reads.
func saying(greeting, answer string) func(net.Conn) {
	return func(c net.Conn) {
		_, _ = io.WriteString(c, greeting) // a write error is normal: the check can have closed the connection
		if n, err := c.Read(make([]byte, 4096)); err == nil && n > 0 {
			_, _ = io.WriteString(c, answer)
		}
	}
}

func serving(der []byte, key *ecdsa.PrivateKey, more ...[]byte) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: append([][]byte{der}, more...), PrivateKey: key}}}
}

// okPage replies to a request of HTTP with the page OK.
var okPage = saying("", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK")

// secureCheck runs an https check of a server with this configuration, and returns the error of the
// check. change changes the target before the check.
func secureCheck(t *testing.T, config *tls.Config, change func(*Target)) error {
	t.Helper()
	target := Target{Addr: secureServer(t, config, okPage), Verify: VerifyNothing, Receive: perls(t, "OK"), Host: "www.example.org"}
	if change != nil {
		change(&target)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	err := negotiation(t, "https", target).Check(ctx)
	if err != nil {
		err = errors.New(strings.ReplaceAll(err.Error(), target.Addr.String(), "ADDR"))
	}
	return err
}

// TestCertificateIsNotReadUnlessItIsVerified checks that a check without verification accepts the
// faulty certificates that OpenSSL accepts.
func TestCertificateIsNotReadUnlessItIsVerified(t *testing.T) {
	a := newAuthority(t)
	replaced := func(from, to []byte) func([]byte) []byte {
		return func(der []byte) []byte { return bytes.Replace(der, from, to, 1) }
	}
	extension := func(id asn1.ObjectIdentifier, critical bool, value ...byte) func(*x509.Certificate) {
		return func(c *x509.Certificate) {
			c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: id, Critical: critical, Value: value})
		}
	}
	tests := []struct {
		name   string
		change func(*x509.Certificate)
		der    func([]byte) []byte
		want   string
	}{
		{name: "right"},
		{name: "expired", change: func(c *x509.Certificate) { c.NotAfter = c.NotBefore.Add(time.Minute) }},
		{name: "negative serial number", der: replaced([]byte{2, 8, 1, 0x23}, []byte{2, 8, 0x81, 0x23})},
		{name: "address and mask in subjectAltName", change: alternative(0x87, 8, 192, 0, 2, 21, 255, 255, 255, 0)},
		{name: "dNSName that is not ASCII", change: alternative(0x82, 3, 'b', 0xfc, 'r')},
		{name: "URI that is none", change: alternative(0x86, 3, ':', '/', '/')},
		{name: "empty subjectAltName", change: alternative()},
		{name: "subjectAltName twice", change: func(c *x509.Certificate) { alternative(0x82, 1, 'a')(c); alternative(0x82, 1, 'b')(c) }},
		{name: "unknown critical extension", change: extension(asn1.ObjectIdentifier{1, 2, 3, 4}, true, 5, 0)},
		{name: "key usage that is no bit string", change: extension(asn1.ObjectIdentifier{2, 5, 29, 15}, true, 5, 0)},
		{name: "basic constraints with garbage", change: extension(asn1.ObjectIdentifier{2, 5, 29, 19}, true, 'x')},
		{name: "no subject", change: func(c *x509.Certificate) { c.Subject = pkix.Name{} }},
		{name: "underscore in a PrintableString", change: func(c *x509.Certificate) {
			c.RawSubject = append([]byte{0x30, 14, 0x31, 12, 0x30, 10, 6, 3, 0x55, 4, 3, 0x13, 3}, "a_b"...)
		}},
		{name: "version 1 with extensions", der: replaced([]byte{0xa0, 3, 2, 1, 2}, []byte{0xa0, 3, 2, 1, 0})},
		{name: "version 4", der: replaced([]byte{0xa0, 3, 2, 1, 2}, []byte{0xa0, 3, 2, 1, 3})},
		{name: "month 13", change: func(c *x509.Certificate) { c.NotBefore = time.Date(2021, 11, 12, 13, 14, 15, 0, time.UTC) },
			der: replaced([]byte("211112131415Z"), []byte("211312131415Z"))},
		{name: "length in more bytes than needed", der: func(der []byte) []byte {
			// DER requires the shorter form of the length: 0x82 and two bytes.
			return append([]byte{0x30, 0x83, 0}, der[2:]...)
		}},
		{name: "broken signature", der: func(der []byte) []byte { der[len(der)-1] ^= 1; return der }},
		{name: "bytes after the certificate", der: func(der []byte) []byte { return append(der, 0) },
			want: "GET https://ADDR/: TLS: tls: failed to parse certificate from server: x509: trailing data; openssl: cert length mismatch"},
		{name: "no certificate", der: func([]byte) []byte { return []byte("x") },
			want: "GET https://ADDR/: TLS: tls: failed to parse certificate from server: x509: malformed certificate; openssl: header too long"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			der, key := a.leaf(t, tt.change)
			if tt.der != nil {
				der = tt.der(der)
			}
			says(t, secureCheck(t, serving(der, key), nil), "", tt.want)
		})
	}
}

// TestOddCertificateOfEveryProtocol checks every protocol over TLS with a certificate that package
// x509 cannot parse. The certificate belongs to the server, or is in the chain.
func TestOddCertificateOfEveryProtocol(t *testing.T) {
	a := newAuthority(t)
	odd, oddKey := a.leaf(t, alternative(oddName...))
	right, key := a.leaf(t, nil)
	for _, config := range []*tls.Config{serving(odd, oddKey), serving(right, key, odd)} {
		for name, talk := range map[string]func(net.Conn){
			"https": okPage,
			"imaps": saying("* OK ready\r\n", "* BYE\r\nb OK\r\n"),
			"pops":  saying("+OK ready\r\n", "+OK bye\r\n"),
			"ldaps": directory{}.serve,
		} {
			t.Run(name, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				target := Target{Addr: secureServer(t, config, talk), Verify: VerifyNothing}
				if err := negotiation(t, name, target).Check(ctx); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// TestOpenSSLVerifies checks that OpenSSL verifies a certificate that package x509 cannot parse.
func TestOpenSSLVerifies(t *testing.T) {
	a := newAuthority(t)
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.der}), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SSL_CERT_FILE", file)
	odd, key := a.leaf(t, alternative(oddName...))
	alone := newAuthority(t)
	stranger, strangerKey := alone.leaf(t, alternative(oddName...))
	expired, expiredKey := a.leaf(t, func(c *x509.Certificate) { alternative(oddName...)(c); c.NotAfter = c.NotBefore.Add(time.Minute) })
	const unread = "GET https://ADDR/: TLS: tls: failed to parse certificate from server: x509: cannot parse IP address of length 8; openssl: "
	tests := []struct {
		name   string
		config *tls.Config
		verify Verify
		host   string
		want   string
	}{
		{"chain", serving(odd, key), VerifyChain, "other.example.org", ""},
		{"name", serving(odd, key), VerifyName, "www.example.org", ""},
		{"another name", serving(odd, key), VerifyName, "other.example.org", unread + "hostname mismatch"},
		{"address", serving(odd, key), VerifyName, "", unread + "IP address mismatch"},
		{"no authority", serving(stranger, strangerKey), VerifyChain, "www.example.org", unread + "unable to get local issuer certificate"},
		{"no authority, nothing verified", serving(stranger, strangerKey), VerifyNothing, "www.example.org", ""},
		{"expired", serving(expired, expiredKey), VerifyChain, "www.example.org", unread + "certificate has expired"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			says(t, secureCheck(t, tt.config, func(target *Target) {
				target.Verify, target.Host, target.Roots = tt.verify, tt.host, SystemRoots(file, "")
			}), "", tt.want)
		})
	}
}

func TestOpenSSLIsMissing(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	odd, key := newAuthority(t).leaf(t, alternative(oddName...))
	says(t, secureCheck(t, serving(odd, key), nil), "",
		"GET https://ADDR/: TLS: tls: failed to parse certificate from server: x509: cannot parse IP address of length 8; install openssl, which may understand this server")
}

// TestOpenSSLIsNotAsked checks that a check does not start openssl if OpenSSL cannot succeed
// either. A director must not spend CPU time on servers that are down.
func TestOpenSSLIsNotAsked(t *testing.T) {
	dir := t.TempDir()
	asked := filepath.Join(dir, "asked")
	if err := os.WriteFile(filepath.Join(dir, "openssl"), []byte("#!/bin/sh\n: >"+asked+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
	right, key := newAuthority(t).leaf(t, nil)
	closed := func(c net.Conn) { _, _ = c.Read(make([]byte, 10)) }
	for name, addr := range map[string]netip.AddrPort{
		"another protocol":     server(t, func(c net.Conn) { _, _ = io.WriteString(c, "220 mail ESMTP\r\n"); closed(c) }),
		"closed":               server(t, closed),
		"closed in the middle": server(t, func(c net.Conn) { closed(c); _, _ = io.WriteString(c, "\x16\x03\x03") }),
		"silent":               server(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }),
		"no authority":         secureServer(t, serving(right, key), okPage),
	} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		err := negotiation(t, "https", Target{Addr: addr, Verify: VerifyChain}).Check(ctx)
		cancel()
		if _, no := os.Stat(asked); no == nil || err == nil {
			t.Errorf("%s: openssl was started, or %v", name, err)
			_ = os.Remove(asked)
		}
	}
}

// TestOpenSSLObeysTheTimeLimit checks that the openssl process ends with its check. After that,
// another program can start.
func TestOpenSSLObeysTheTimeLimit(t *testing.T) {
	programs := programsFor(t, 1)
	odd, key := newAuthority(t).leaf(t, alternative(oddName...))
	var connections atomic.Int64
	silent := server(t, func(c net.Conn) {
		if connections.Add(1) == 1 {
			_ = tls.Server(c, serving(odd, key)).Handshake() // An error is normal: the client ends the handshake.
		}
		_, _ = io.Copy(io.Discard, c)
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	began := time.Now()
	err := negotiation(t, "https", Target{Addr: silent, Verify: VerifyNothing, Programs: programs}).Check(ctx)
	says(t, err, fmt.Sprintf("GET https://%s/: ", silent), "TLS: tls: failed to parse certificate from server: x509: cannot parse IP address of length 8")
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("took %v", took)
	}
	for range 3 { // the limit is one program, so each program must have ended
		if err := secureCheck(t, serving(odd, key), func(target *Target) { target.Programs = programs }); err != nil {
			t.Error(err)
		}
	}
	end := occupy(t, programs)
	ctx, cancel = context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	addr := secureServer(t, serving(odd, key), okPage)
	err = negotiation(t, "https", Target{Addr: addr, Verify: VerifyNothing, Programs: programs}).Check(ctx)
	says(t, err, fmt.Sprintf("GET https://%s/: ", addr), "openssl: not started in time, because 1 other programs are running: resource temporarily unavailable")
	if !errors.Is(err, unix.EAGAIN) {
		t.Error("the server is blamed")
	}
	end()
	noneLeft(t, programs)
}

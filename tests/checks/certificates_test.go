package checks

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"time"
)

// serverName is the host name in the certificate "right". The checks require this name.
const serverName = "www.example.org"

// certified describes a certificate for a test server: the name of its file, its host name, its
// period of validity, and whether it is self-signed.
type certified struct {
	file     string
	name     string
	from, to time.Time
	self     bool
}

// certificates returns the certificates of the test servers. The first field is the name of the
// situation that uses the certificate.
func certificates() []certified {
	old, next := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), time.Now().AddDate(0, 0, 2)
	before := time.Now().AddDate(0, 0, -2)
	return []certified{
		{"right", serverName, before, next, false},
		{"expired", serverName, old, old.AddDate(1, 0, 0), false},
		{"wrong-name", "other.example.org", before, next, false},
		{"self-signed", serverName, before, next, true},
	}
}

// makeCertificates writes ca.pem, the certificate of the test's CA. For each test certificate it
// writes a .pem file and a .key file.
func makeCertificates() error {
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Date(2019, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Now().AddDate(1, 0, 0), KeyUsage: x509.KeyUsageCertSign,
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	if err := signed("ca", authority, authority, key, key); err != nil {
		return err
	}
	for i, c := range certificates() {
		own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return err
		}
		leaf := &x509.Certificate{
			SerialNumber: big.NewInt(int64(i + 2)), Subject: pkix.Name{CommonName: c.name}, DNSNames: []string{c.name},
			NotBefore: c.from, NotAfter: c.to, KeyUsage: x509.KeyUsageDigitalSignature,
		}
		parent, signer := authority, key
		if c.self {
			parent, signer = leaf, own
		}
		if err := signed(c.file, leaf, parent, own, signer); err != nil {
			return err
		}
	}
	return nil
}

func signed(file string, leaf, parent *x509.Certificate, key, signer *ecdsa.PrivateKey) error {
	der, err := x509.CreateCertificate(rand.Reader, leaf, parent, key.Public(), crypto.Signer(signer))
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	write := func(suffix, kind string, bytes []byte) error {
		// The keys are readable for every user, because the servers run as several users. The
		// directory is removed with the test.
		return os.WriteFile(filepath.Join(work, file+suffix), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: bytes}), 0o644)
	}
	return errors.Join(write(".pem", "CERTIFICATE", der), write(".key", "PRIVATE KEY", private))
}

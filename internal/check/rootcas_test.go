package check

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// TestRootsFollowTheirFiles checks that the next check trusts an authority that an operator has
// added to the files.
func TestRootsFollowTheirFiles(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	const unknown = "no trusted authority has signed the certificate; add the one that has to the system's, or write verify=no"
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	other := authorityOfNobody(t)
	dir := t.TempDir()
	bundle, added := filepath.Join(dir, "bundle"), filepath.Join(dir, "added")
	if err := errors.Join(os.Mkdir(added, 0o755), os.Chtimes(added, time.Unix(0, 0), time.Unix(0, 0))); err != nil {
		t.Fatal(err)
	}
	target := Target{Addr: netip.MustParseAddrPort(server.Listener.Addr().String()), Roots: SystemRoots(bundle, added)}
	checker := negotiation(t, "https", target)
	steps := []struct {
		name, file string
		text       []byte
		want       string
	}{
		{"none", bundle, nil, unknown},
		{"another", bundle, other, unknown},
		{"the right one", bundle, slices.Concat(other, authority), ""},
		{"while it is written", bundle, nil, ""},
		{"another again", bundle, bytes.Repeat(other, 2), unknown},
		{"in a directory", filepath.Join(added, "one.pem"), authority, ""},
	}
	for _, step := range steps {
		if err := os.WriteFile(step.file, step.text, 0o644); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		got, want := "", step.want
		if err := checker.Check(ctx); err != nil {
			got = err.Error()
		}
		if want != "" {
			want = "GET https://" + target.Addr.String() + "/: TLS: " + want
		}
		if got != want {
			t.Errorf("%s: got  %s\nwant %s", step.name, got, want)
		}
	}
}

// authorityOfNobody returns the certificate of an authority that has signed no server certificate.
func authorityOfNobody(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

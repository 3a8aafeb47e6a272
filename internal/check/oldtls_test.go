package check

import (
	"bufio"
	"context"
	"net/netip"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestTLSOfServersThatGoDoesNotKnow checks that a check can connect to servers with the keys,
// signatures and suites of OpenSSL. Package tls does not support all of them.
func TestTLSOfServersThatGoDoesNotKnow(t *testing.T) {
	const weak = "ALL:@SECLEVEL=0"
	tests := []struct {
		name   string
		key    string // key are arguments of openssl req.
		serves string // serves are arguments of openssl s_server.
	}{
		{"finite-field Diffie-Hellman only", "rsa:2048", "-tls1_2 -cipher DHE-RSA-AES128-SHA"},
		{"MD5", "rsa:2048 -md5", "-cipher " + weak},
		{"SHA-1", "rsa:2048 -sha1", "-tls1_2 -cipher " + weak},
		{"RSA key of 512 bits", "rsa:512", "-tls1_2 -cipher " + weak},
		{"RSA key of 1024 bits", "rsa:1024", "-cipher " + weak},
		{"RSA-PSS key", "rsa-pss -pkeyopt rsa_keygen_bits:2048", ""},
		{"DSA key", "dsa:" + dsaParameters(t), "-tls1_2 -cipher " + weak},
		{"Ed25519", "ed25519", ""},
		{"Ed448", "ed448", ""},
		{"P-521", "ec -pkeyopt ec_paramgen_curve:P-521", ""},
		{"CBC and SHA-1", "rsa:2048", "-tls1_2 -cipher AES128-SHA"},
		{"TLS 1.0", "rsa:2048", "-tls1 -cipher " + weak},
		{"a certificate is wanted from the client", "rsa:2048", "-verify 3"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			addr := openSSLServer(t, strings.Fields(tt.key), strings.Fields(tt.serves))
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			target := Target{Addr: addr, Verify: VerifyNothing, Receive: perls(t, "Cipher")}
			if err := negotiation(t, "https", target).Check(ctx); err != nil {
				t.Error(err)
			}
		})
	}
}

func openSSL(t *testing.T, args ...string) {
	t.Helper()
	if output, err := exec.Command("openssl", args...).CombinedOutput(); err != nil {
		t.Fatalf("openssl %s: %v\n%s", strings.Join(args, " "), err, output)
	}
}

func dsaParameters(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "dsa")
	openSSL(t, "dsaparam", "-out", file, "1024")
	return file
}

// openSSLServer starts openssl s_server with a new key. The server sends a page about the
// connection.
func openSSLServer(t *testing.T, key, serves []string) netip.AddrPort {
	t.Helper()
	dir := t.TempDir()
	private, certificate := filepath.Join(dir, "key"), filepath.Join(dir, "certificate")
	openSSL(t, append([]string{"req", "-x509", "-nodes", "-subj", "/CN=x", "-keyout", private, "-out", certificate, "-newkey"}, key...)...)
	cmd := exec.Command("openssl", append([]string{"s_server", "-www", "-accept", "127.0.0.1:0", "-cert", certificate, "-key", private}, serves...)...)
	output, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = cmd.Process.Kill(), cmd.Wait() })
	for lines := bufio.NewScanner(output); lines.Scan(); {
		if addr, found := strings.CutPrefix(lines.Text(), "ACCEPT "); found {
			return netip.MustParseAddrPort(addr)
		}
	}
	t.Fatal("openssl s_server does not serve")
	return netip.AddrPort{}
}

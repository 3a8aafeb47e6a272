package lab

import (
	"bytes"
	"os"
	"testing"
)

// perlPlaces are where the Perl program ldirectord can be: its own place, and where
// the package lvs-agents-ldirectord moves it (dpkg-divert).
var perlPlaces = []string{"/usr/sbin/ldirectord", "/usr/sbin/ldirectord.perl"}

// PerlProgram returns the path of the Perl program ldirectord on this machine. It is
// found by its content, because directord can be in its place. On nodes with
// Options.Root directord is in that place, so a peer there needs a copy under another
// name.
func PerlProgram(tb testing.TB) string {
	tb.Helper()
	for _, path := range perlPlaces {
		text, err := os.ReadFile(path)
		if line, _, _ := bytes.Cut(text, []byte("\n")); err == nil && bytes.HasPrefix(line, []byte("#!")) && bytes.Contains(line, []byte("perl")) {
			return path
		}
	}
	tb.Fatalf("none of %q is the Perl program ldirectord; apt-get install --reinstall ldirectord", perlPlaces)
	return ""
}

// PerlLdirectord returns the text of the Perl program.
func PerlLdirectord(tb testing.TB) string {
	tb.Helper()
	text, err := os.ReadFile(PerlProgram(tb))
	if err != nil {
		tb.Fatal(err)
	}
	return string(text)
}

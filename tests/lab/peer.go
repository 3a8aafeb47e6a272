package lab

import (
	"bytes"
	"os"
	"testing"
)

// perlPlaces are the possible paths of the Perl program ldirectord: its usual path, and its path
// after dpkg-divert of the package lvs-agents-ldirectord.
var perlPlaces = []string{"/usr/sbin/ldirectord", "/usr/sbin/ldirectord.perl"}

// PerlProgram returns the path of the Perl program ldirectord on this machine. It checks the
// content, because directord can be at the usual path. On nodes with Options.Root, directord is at
// that path. So a test that runs the Perl program there needs a copy under another name.
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

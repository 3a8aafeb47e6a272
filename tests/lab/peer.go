package lab

import (
	"bytes"
	"os"
	"testing"
)

// perlPlaces are the possible paths of the Perl program ldirectord: its usual path, and its path
// after dpkg-divert of the package lvs-agents-ldirectord.
var perlPlaces = []string{"/usr/sbin/ldirectord", "/usr/sbin/ldirectord.perl"}

// PerlProgram returns the path of the Perl program ldirectord on the test host. It checks the
// content of the file, because our program directord can have the path /usr/sbin/ldirectord. On
// nodes with Options.Root, directord always has this path. A test that runs the Perl program there
// needs a copy under another name.
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

// PerlLdirectord returns the source text of the Perl program ldirectord.
func PerlLdirectord(tb testing.TB) string {
	tb.Helper()
	text, err := os.ReadFile(PerlProgram(tb))
	if err != nil {
		tb.Fatal(err)
	}
	return string(text)
}

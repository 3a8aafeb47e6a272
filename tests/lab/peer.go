package lab

import (
	"bytes"
	"os"
	"testing"
)

// perlPlaces are the paths where PerlProgram searches for the Perl program ldirectord. The second
// path is the name that the package lvs-agents-ldirectord gives to the Perl program (dpkg-divert).
var perlPlaces = []string{"/usr/sbin/ldirectord", "/usr/sbin/ldirectord.perl"}

// PerlProgram returns the path of the Perl program ldirectord on the test host. It checks the
// content of each file, because /usr/sbin/ldirectord can be our program directord. On nodes with
// Options.Root, this path always is directord. A test that runs the Perl program on such nodes
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

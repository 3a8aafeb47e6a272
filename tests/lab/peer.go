package lab

import (
	"os"
	"strings"
	"testing"
)

// PerlLdirectord is the text of the machine's /usr/sbin/ldirectord, which must be
// the Perl program. On nodes with Options.Root directord is in its place, so that
// a peer there needs a copy under another name.
func PerlLdirectord(tb testing.TB) string {
	tb.Helper()
	text, err := os.ReadFile("/usr/sbin/ldirectord")
	if err != nil {
		tb.Fatal(err)
	}
	if !strings.HasPrefix(string(text), "#!/usr/bin/perl") {
		tb.Fatal("/usr/sbin/ldirectord is not the Perl program; apt-get install --reinstall ldirectord")
	}
	return string(text)
}

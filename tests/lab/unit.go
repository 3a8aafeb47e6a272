package lab

import (
	"os"
	"strings"
	"testing"
)

// Confined returns a command line prefix that runs a command as systemd would run it for a unit
// file: with the capabilities of the unit, and without new privileges (NoNewPrivileges).
func Confined(tb testing.TB, unit string) []string {
	tb.Helper()
	text, err := os.ReadFile(unit)
	if err != nil {
		tb.Fatal(err)
	}
	_, set, found := strings.Cut(string(text), "\nCapabilityBoundingSet=")
	set, _, _ = strings.Cut(set, "\n")
	if !found || !strings.Contains(string(text), "\nNoNewPrivileges=yes\n") {
		tb.Fatalf("%s does not confine its programs", unit)
	}
	words := []string{"-all"}
	for _, capability := range strings.Fields(set) {
		words = append(words, "+"+strings.ToLower(strings.TrimPrefix(capability, "CAP_")))
	}
	return []string{"setpriv", "--no-new-privs", "--bounding-set=" + strings.Join(words, ",")}
}

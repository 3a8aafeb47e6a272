package commands

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"lvs-agents/internal/config"
)

// TestTooManyRealServers reads one real server more than a configuration can have.
func TestTooManyRealServers(t *testing.T) {
	var text strings.Builder
	text.WriteString("-A -t 192.0.2.10:80 -s rr\n")
	addr := netip.MustParseAddr("10.0.0.1")
	for range config.MaxReals + 1 {
		fmt.Fprintf(&text, "-a -t 192.0.2.10:80 -r %s:80 -m -w 1\n", addr)
		addr = addr.Next()
	}
	c, problems := Parse("FILE", []byte(text.String()))
	if err := config.Err(problems); c != nil || err == nil || !strings.Contains(err.Error(), "more than 65536 real servers") {
		t.Error(err)
	}
}

// TestDeletedServersAndServices checks that later commands find what earlier ones have left.
func TestDeletedServersAndServices(t *testing.T) {
	c, problems := Parse("FILE", []byte(`-A -t 192.0.2.10:80 -s rr
-a -t 192.0.2.10:80 -r 192.0.2.21:80 -m -w 1
-a -t 192.0.2.10:80 -r 192.0.2.22:80 -m -w 1
-a -t 192.0.2.10:80 -r 192.0.2.23:80 -m -w 1
-A -t 192.0.2.11:80 -s rr
-a -t 192.0.2.11:80 -r 192.0.2.21:80 -m -w 1
ipvsadm -d -t 192.0.2.10:80 -r 192.0.2.21:80
ipvsadm -e -t 192.0.2.10:80 -r 192.0.2.23:80 -m -w 7
-A -t 192.0.2.12:80 -s rr
ipvsadm -D -t 192.0.2.11:80
-a -t 192.0.2.12:80 -r 192.0.2.24:80 -m -w 2
`))
	if c == nil {
		t.Fatal(problems)
	}
	got := ""
	for _, s := range c.Services {
		got += s.ID.String()
		for _, r := range s.Reals {
			got += fmt.Sprintf(" %s=%d", r.Addr, r.Weight)
		}
		got += "\n"
	}
	const want = "-t 192.0.2.10:80 192.0.2.22:80=1 192.0.2.23:80=7\n-t 192.0.2.12:80 192.0.2.24:80=2\n"
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

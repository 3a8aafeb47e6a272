package ipvs

import (
	"strings"
	"testing"
)

func TestMasqWithoutForwarding(t *testing.T) {
	const v4 = "WARNING: no interface forwards packets, so replies of 192.0.2.21:80 and other masq servers do not reach clients; sysctl -w net.ipv4.ip_forward=1\n"
	const v6 = "WARNING: no interface forwards packets, so replies of [2001:db8::21]:80 and other masq servers do not reach clients; sysctl -w net.ipv6.conf.all.forwarding=1\n"
	for _, tt := range []struct {
		virtual, real string
		still         bool
		want          string
	}{
		{"192.0.2.10:80", "192.0.2.22 gate, 192.0.2.21 masq, 192.0.2.23 masq", true, v4},
		{"[2001:db8::10]:80", "[2001:db8::21] masq", true, v6},
		{"192.0.2.10:80", "192.0.2.21 masq", false, ""},
		{"192.0.2.10:80", "192.0.2.21 gate", true, ""},
		{"192.0.2.10:80", "127.0.0.1:8080 masq", true, ""},
	} {
		n := newNode(t)
		n.kernel.Still = tt.still
		got := n.mustRun(t, 0, "web", "start", "virtual="+tt.virtual, "real="+tt.real, "scheduler=rr")
		warned := ""
		for line := range strings.Lines(got.log) {
			if strings.Contains(line, "forwards") {
				warned += line
			}
		}
		if warned != tt.want {
			t.Errorf("%s %s\ngot  %s\nwant %s", tt.virtual, tt.real, warned, tt.want)
		}
	}
}

package ipvs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lvs-agents/internal/config"
	"lvs-agents/internal/config/ldirectord"
)

// TestRefusedSettings checks that validate-all, start and reload refuse a setting with the same
// text, and that lvsctl check has this text too. A refused setting does not reach the kernel.
func TestRefusedSettings(t *testing.T) {
	for _, tt := range []struct{ service, real, want string }{
		{"", "[2001:db8::21]:80 masq", "use a tunnel (ipip, gue or gre), or addresses of one family"},
		{"", "192.0.2.21 gate 65536", `weight "65536" is not a number from 0 to 65535`},
		{"", "192.0.2.21 gate 1 u:2147483648", `threshold "u:2147483648" is not a number from 0 to 2147483647`},
		{"", "192.0.2.21 gate 1 l:9 u:5", "lower threshold 9 is above the upper threshold 5"},
		{"", "192.0.2.21 gue 1 port:0", "a gue tunnel needs a UDP port; use port:6080"},
		{"", "192.0.2.21 gre 1 remcsum", "gre tunnels have no remcsum; use gue"},
		{"", "224.0.0.1 gate", "a multicast address; use the address of one host"},
		{"scheduler=none-such", "192.0.2.21 gate", `unknown scheduler "none-such"`},
		{"persistence_engine=sip", "192.0.2.21 gate", "persistence engine sip has no effect without persistence; set persistent"},
	} {
		n := newNode(t)
		text := "virtual=192.0.2.10:80\n\treal=" + tt.real + "\n"
		if tt.service != "" {
			text += "\t" + tt.service + "\n"
		}
		file := filepath.Join(n.config, "web.cf")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, problems := ldirectord.Parse(file, []byte(text))
		if err := config.Err(problems); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("check: got %v, want %s", err, tt.want)
		}
		for _, action := range []string{"validate-all", "start", "reload-agent"} {
			if got := n.mustRun(t, 2, "web", action, "config="+file); !strings.Contains(got.reason, tt.want) {
				t.Errorf("%s: got %s, want %s", action, got.reason, tt.want)
			}
			params := []string{"virtual=192.0.2.10:80", "real=" + tt.real}
			if tt.service != "" {
				params = append(params, tt.service)
			}
			if got := n.mustRun(t, 6, "web", action, params...); !strings.Contains(got.reason+got.log, tt.want) && !strings.Contains(got.reason, "none-such") {
				t.Errorf("%s: got %s, want %s", action, got.reason, tt.want)
			}
		}
		n.wantTable(t, "")
	}
}

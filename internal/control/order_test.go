package control

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestOrdersInAttributes(t *testing.T) {
	since := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, tt := range []struct {
		words string
		names []string
		want  Command
	}{
		{"drain 0 2026-01-02T03:04:05Z - eva -t 192.0.2.10:80 192.0.2.21:80", []string{"lvs-order-drain_t_192.0.2.10_80_192.0.2.21_80"},
			Command{Service: "-t 192.0.2.10:80", Servers: []string{"192.0.2.21:80"}, Order: Order{Kind: "drain", By: "eva", Since: since}}},
		{"weight 7 2026-01-02T03:04:05Z 2026-01-02T03:05:05Z a+b%22 -f 7 [2001:db8::1]:0", []string{"lvs-order-weight_f_7__2001_db8__1__0"},
			Command{Service: "-f 7", Servers: []string{"[2001:db8::1]:0"}, Order: Order{Kind: "weight", Weight: 7, By: `a b"`, Since: since, Until: since.Add(time.Minute)}}},
		{"add-masq 7 2026-01-02T03:04:05Z - eva -t 192.0.2.10:80 192.0.2.24:8080", []string{"lvs-order-add_t_192.0.2.10_80_192.0.2.24_8080"},
			Command{Service: "-t 192.0.2.10:80", Servers: []string{"192.0.2.24:8080"}, Order: Order{Kind: "add", Forward: "masq", Weight: 7, By: "eva", Since: since}}},
		{"ready 0 2026-01-02T03:04:05Z -  -u 192.0.2.10:53 192.0.2.21:53", []string{"lvs-order-drain_u_192.0.2.10_53_192.0.2.21_53", "lvs-order-weight_u_192.0.2.10_53_192.0.2.21_53"},
			Command{Service: "-u 192.0.2.10:53", Servers: []string{"192.0.2.21:53"}, Order: Order{Kind: "ready", Since: since}}},
	} {
		if got := tt.want.Words(); got != tt.words {
			t.Errorf("got %s, want %s", got, tt.words)
		}
		if diff := cmp.Diff(tt.names, tt.want.Attributes()); diff != "" {
			t.Errorf("%s: (-want +got):\n%s", tt.words, diff)
		}
		if tt.want.Order.By == "" {
			continue
		}
		tt.want.Order.Cluster = true
		got, err := ParseWords(tt.words)
		if diff := cmp.Diff(tt.want, got); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", tt.words, err, diff)
		}
	}
	for _, words := range []string{"", "drain", "drain x 2026-01-02T03:04:05Z - eva -t 192.0.2.10:80 192.0.2.21:80", "drain 0 now - eva -t 192.0.2.10:80 192.0.2.21:80"} {
		if c, err := ParseWords(words); err == nil {
			t.Errorf("%q: %+v", words, c)
		}
	}
}

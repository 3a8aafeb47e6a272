package directord

import (
	"bytes"
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/sirupsen/logrus"

	"lvs-agents/internal/control"
)

// hostNames is a fake resolver: it maps host names to addresses.
type hostNames map[string]string

func (h hostNames) LookupNetIP(_ context.Context, _, name string) ([]netip.Addr, error) {
	if text := h[name]; text != "" {
		return []netip.Addr{netip.MustParseAddr(text)}, nil
	}
	return nil, errors.New("no such host")
}

// TestServersThatAreDirectors checks that the log names each server that is another director once.
// An address of this host is correct, because its packets stay on this host.
func TestServersThatAreDirectors(t *testing.T) {
	service := control.Service{
		ID:       "-t 192.0.2.10:80",
		Reals:    []control.Real{{Addr: "192.0.2.11:80"}, {Addr: "192.0.2.12:80"}, {Addr: "192.0.2.21:80"}},
		Fallback: &control.Real{Addr: "192.0.2.13:80"},
	}
	var lines bytes.Buffer
	log := logrus.New()
	log.SetOutput(&lines)
	p := &peers{
		name: "lvs-health-web",
		nodes: func(context.Context, string) (map[string]string, error) {
			return map[string]string{"director1": "1000", "director2": "1000", "director3": "0", "director4": "0"}, nil
		},
		resolver: hostNames{"director1": "192.0.2.11", "director2": "192.0.2.12", "director3": "::ffff:192.0.2.13"},
		snapshot: func(context.Context) (control.Snapshot, error) {
			return control.Snapshot{Config: "/etc/ha.d/web.cf", Services: []control.Service{service}}, nil
		},
		own: func(addr netip.Addr) bool { return addr == netip.MustParseAddr("192.0.2.11") },
		log: log, warned: map[string]bool{},
	}
	p.search(t.Context())
	p.search(t.Context())
	for _, want := range []string{
		"192.0.2.12:80 of -t 192.0.2.10:80 is director director2, which has the same virtual services, so packets loop between the directors; remove it from /etc/ha.d/web.cf",
		"192.0.2.13:80 of -t 192.0.2.10:80 is director director3, which",
	} {
		if got := strings.Count(lines.String(), want); got != 1 {
			t.Errorf("%q is in the log %d times:\n%s", want, got, lines.String())
		}
	}
	if got := strings.Count(lines.String(), "\n"); got != 2 {
		t.Errorf("%d lines:\n%s", got, lines.String())
	}
}

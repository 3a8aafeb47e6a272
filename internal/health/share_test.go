package health_test

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"lvs-agents/internal/health"
	"lvs-agents/internal/lvs"
)

func TestScore(t *testing.T) {
	tests := []struct {
		name      string
		good, all int
		want      int
	}{
		{"all", 4, 4, 1000},
		{"three of four", 3, 4, 875},
		{"one of a hundred", 1, 100, 505},
		{"one of ten thousand", 1, 10000, 500},
		{"none", 0, 4, 0},
		{"no real servers", 0, 0, 1000},
	}
	for _, tt := range tests {
		if got := (health.Share{Good: tt.good, All: tt.all}).Score(); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
}

// TestShare checks the share through a start, a failure, a drain and the failure of every server
// with a weight. The fallback and the server without weight do not count.
func TestShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, `checkinterval=2
checktimeout=3
failurecount=2
virtual=192.0.2.10:80
	real=192.0.2.21:80 gate 3
	real=192.0.2.22:80 gate 1
	fallback=127.0.0.1:80 gate
	checktype=connect
virtual=192.0.2.10:81
	real=192.0.2.21:81 gate 4
	real=192.0.2.23:81 gate 0
	checktype=connect
`)
		w.run(t, "web", func(d *health.Daemon) {
			share := func(name string, good int) {
				t.Helper()
				got, err := d.Share(t.Context())
				want := health.Share{Good: good, All: 8, Known: true, Reaction: 7 * time.Second}
				if err != nil || got != want {
					t.Errorf("%s: %+v, %v, want %+v", name, got, err, want)
				}
			}
			share("all good", 8)
			w.set(func() { w.down["192.0.2.21"] = true })
			<-time.After(20 * time.Second)
			share("one server is down in both services", 1)
			w.set(func() { w.down["192.0.2.21"] = false })
			<-time.After(20 * time.Second)
			drained := health.Member{Service: lvs.ServiceID{Protocol: lvs.TCP, Addr: netip.MustParseAddrPort("192.0.2.10:80")}, Server: netip.MustParseAddrPort("192.0.2.21:80")}
			if err := d.Maintain(t.Context(), map[health.Member]bool{drained: true}); err != nil {
				t.Fatal(err)
			}
			share("a drained server keeps its share", 8)
			w.set(func() { w.down["192.0.2.21"], w.down["192.0.2.22"] = true, true })
			<-time.After(20 * time.Second)
			share("the fallback serves", 0)
		})
	})
}

package config_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"lvs-agents/internal/config"
	"lvs-agents/internal/config/ldirectord"
)

// names is a resolver with the addresses of the map.
type names map[string]string

func (n names) LookupNetIP(_ context.Context, network, host string) ([]netip.Addr, error) {
	if addr, ok := n[network+" "+host]; ok {
		return []netip.Addr{netip.MustParseAddr(addr)}, nil
	}
	return nil, fmt.Errorf("lookup %s: no such host", host)
}

func lines(problems []config.Problem) string {
	var b strings.Builder
	for _, p := range problems {
		fmt.Fprintf(&b, "%s: %s\n", p.Severity, p)
	}
	return b.String()
}

func TestNamesAreResolvedLate(t *testing.T) {
	tests := []struct{ name, text, table, problems string }{
		{"service and real servers", "virtual=www:80\n\treal=sql01->192.0.2.22 gate 2\n\treal=sql03:80 gate",
			"-A -t 192.0.2.10:80 -s wrr\n-a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 2\n-a -t 192.0.2.10:80 -r 192.0.2.22:80 -g -w 2\n-a -t 192.0.2.10:80 -r 192.0.2.23:80 -g -w 1\n", ""},
		{"IPv6", "virtual6=www:80", "-A -t [2001:db8::10]:80 -s wrr\n", ""},
		{"an unknown service", "virtual=x:80\n\treal=sql01 gate\nvirtual=www:80\n\treal=sql01 gate", "-A -t 192.0.2.10:80 -s wrr\n-a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 1\n",
			"warning: web.cf:1: virtual server x: lookup x: no such host, so it is left out\n"},
		{"an unknown real server", "virtual=www:80\n\treal=x gate\n\treal=sql01 gate", "-A -t 192.0.2.10:80 -s wrr\n-a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 1\n",
			"warning: web.cf:2: real server x: lookup x: no such host, so it is left out\n"},
		{"all real servers of a service", "virtual=www:80\n\treal=x gate\nvirtual=www:81\n\treal=sql01 gate", "-A -t 192.0.2.10:80 -s wrr\n-A -t 192.0.2.10:81 -s wrr\n-a -t 192.0.2.10:81 -r 192.0.2.21:81 -g -w 1\n",
			"warning: web.cf:2: real server x: lookup x: no such host, so it is left out\n"},
		{"all services", "virtual=x:80\n\treal=y gate", "",
			"warning: web.cf:1: virtual server x: lookup x: no such host, so it is left out\nerror: web.cf:1: virtual server x: lookup x: no such host, and no virtual service is left\n"},
		{"all real servers", "virtual=www:80\n\treal=x gate", "-A -t 192.0.2.10:80 -s wrr\n",
			"warning: web.cf:2: real server x: lookup x: no such host, so it is left out\nerror: web.cf:2: real server x: lookup x: no such host, and no real server is left\n"},
		{"a range that turns out reversed", "virtual=www:80\n\treal=sql03->sql01 gate\n\treal=sql01 gate", "-A -t 192.0.2.10:80 -s wrr\n-a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 1\n",
			"warning: web.cf:2: real servers sql03->sql01: range 192.0.2.23->192.0.2.21 is reversed, so it is left out; write 192.0.2.21->192.0.2.23\n"},
		{"a name for the address of another service", "virtual=www:80\n\treal=sql01 gate\nvirtual=192.0.2.10:80\n\treal=sql03 gate", "-A -t 192.0.2.10:80 -s wrr\n-a -t 192.0.2.10:80 -r 192.0.2.23:80 -g -w 1\n",
			"warning: web.cf:1: virtual server www: virtual service -t 192.0.2.10:80 is also in line 3, so it is left out; delete one of them\n"},
		{"two names of one service", "virtual=www:80\n\treal=sql01 gate\nvirtual=www2:80\n\treal=sql03 gate", "-A -t 192.0.2.10:80 -s wrr\n-a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 1\n",
			"warning: web.cf:3: virtual server www2: virtual service -t 192.0.2.10:80 is also in line 1, so it is left out; delete one of them\n"},
		{"two names of one real server", "virtual=www:80\n\treal=sql01 gate\n\treal=192.0.2.21:http gate 2", "-A -t 192.0.2.10:80 -s wrr\n-a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 2\n",
			"warning: web.cf:3: real server 192.0.2.21:80 is given twice, first in line 2 with other values; the last one counts; delete one of them\n"},
		{"a name for the wrong family", "virtual6=www:80\n\treal6=sql01 gate\n\treal6=[2001:db8::21] gate", "-A -t [2001:db8::10]:80 -s wrr\n-a -t [2001:db8::10]:80 -r [2001:db8::21]:80 -g -w 1\n",
			"warning: web.cf:2: real server sql01: lookup sql01: no such host, so it is left out\n"},
		{"an IPv6 end of a range", "virtual=www:80\n\treal=sql01->[2001:db8::1] gate\n\treal=sql01 gate", "-A -t 192.0.2.10:80 -s wrr\n-a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 1\n",
			"warning: web.cf:2: real servers sql01->2001:db8::1: range 192.0.2.21->2001:db8::1 mixes IPv4 and IPv6, so it is left out\n"},
		{"a fallback without an address", "fallback=x\nvirtual=www:80\n\treal=sql01 gate", "-A -t 192.0.2.10:80 -s wrr\n-a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 1\n",
			"warning: web.cf:1: fallback x: lookup x: no such host, so it is left out\n"},
		{"a fallback that is a real server", "fallback=sql01\nvirtual=www:80\n\treal=192.0.2.21 gate", "-A -t 192.0.2.10:80 -s wrr\n-a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 1\n",
			"warning: web.cf:1: fallback sql01: it is also a real server of -t 192.0.2.10:80, in line 3, so it is left out; choose another server: the fallback serves when no real server does\n"},
		{"an address that IPVS does not take", "virtual=www:80\n\treal=zero gate\n\treal=sql01 gate", "-A -t 192.0.2.10:80 -s wrr\n-a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 1\n",
			"warning: web.cf:2: real server zero: lookup zero: no IPv4 address, so it is left out\n"},
	}
	all := names{
		"ip4 www": "192.0.2.10", "ip6 www": "2001:db8::10", "ip4 www2": "192.0.2.10", "ip4 zero": "0.0.0.0",
		"ip4 sql01": "192.0.2.21", "ip4 sql03": "192.0.2.23",
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg, problems := ldirectord.Parse("web.cf", []byte(tt.text))
			if cfg == nil || len(problems) != 0 {
				t.Fatal(lines(problems))
			}
			table, problems := cfg.Table(t.Context(), config.NewNames(all))
			if got := table.String(); got != tt.table {
				t.Errorf("got  %s\nwant %s", got, tt.table)
			}
			if got := lines(problems); got != tt.problems {
				t.Errorf("got  %s\nwant %s", got, tt.problems)
			}
			if err := table.Validate(); err != nil {
				t.Error(err)
			}
		})
	}
}

// changing is a resolver. The test changes the addresses that the resolver returns.
type changing map[string][]string

func (c changing) LookupNetIP(_ context.Context, network, host string) ([]netip.Addr, error) {
	var all []netip.Addr
	for _, text := range c[network+" "+host] {
		all = append(all, netip.MustParseAddr(text))
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("lookup %s: no such host", host)
	}
	return all, nil
}

// TestNamesKeepTheirAddress checks that Names keeps the last address of a name that no longer has
// an address, even after a restart. It also checks that Names keeps the last address while it is
// one of several.
func TestNamesKeepTheirAddress(t *testing.T) {
	cfg, _ := ldirectord.Parse("web.cf", []byte("virtual=192.0.2.10:80\n\treal=a gate\n\treal=b gate"))
	dns := changing{"ip4 a": {"192.0.2.21"}, "ip4 b": {"192.0.2.22", "192.0.2.32"}}
	dir, n := t.TempDir()+"/state", config.NewNames(dns)
	steps := []struct {
		name     string
		change   func()
		reals    string
		problems string
		missing  bool
	}{
		{"start", func() {}, "192.0.2.21 192.0.2.22", "", false},
		{"another order", func() { dns["ip4 b"] = []string{"192.0.2.32", "192.0.2.22"} }, "192.0.2.21 192.0.2.22", "", false},
		{"none", func() { delete(dns, "ip4 a") }, "192.0.2.21 192.0.2.22",
			"warning: web.cf:2: real server a: lookup a: no such host, so its last address counts, 192.0.2.21\n", true},
		{"restart", func() {
			if err := n.Save(dir); err != nil {
				t.Fatal(err)
			}
			n = config.NewNames(dns)
			if err := n.Restore(dir); err != nil {
				t.Fatal(err)
			}
		}, "192.0.2.21 192.0.2.22", "warning: web.cf:2: real server a: lookup a: no such host, so its last address counts, 192.0.2.21\n", true},
		{"another address", func() { dns["ip4 a"], dns["ip4 b"] = []string{"192.0.2.25"}, []string{"192.0.2.33"} }, "192.0.2.25 192.0.2.33", "", false},
		{"the same address", func() { dns["ip4 b"] = []string{"192.0.2.25"} }, "192.0.2.25",
			"warning: web.cf:3: real server 192.0.2.25:80 is given twice, first in line 2; delete this one\n", false},
	}
	for _, step := range steps {
		step.change()
		resolved, problems := cfg.Resolve(t.Context(), n)
		var reals []string
		for _, r := range resolved.Services[0].Reals {
			reals = append(reals, r.Addr.Addr().String())
		}
		if got := strings.Join(reals, " "); got != step.reals || lines(problems) != step.problems || n.Missing() != step.missing {
			t.Errorf("%s: %s, missing %t\n%s", step.name, got, n.Missing(), lines(problems))
		}
	}
}

func TestDamagedNamesAreNoReasonToStop(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "names"), []byte(`{"ip4":{"a":"192.`), 0o600); err != nil {
		t.Fatal(err)
	}
	n := config.NewNames(names{"ip4 a": "192.0.2.21"})
	err := n.Restore(dir)
	if want := filepath.Join(dir, "names") + ": unexpected end of JSON input; delete it"; err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	if a := n.Lookup(t.Context(), []config.Host{{"a", false}})[config.Host{"a", false}]; a.Err != nil {
		t.Error(a.Err)
	}
	if err := errors.Join(n.Save(dir), config.NewNames(nil).Restore(dir)); err != nil {
		t.Error(err)
	}
}

// silent is a resolver that returns only when the context ends.
type silent struct{ asked, most atomic.Int32 }

func (s *silent) LookupNetIP(ctx context.Context, _, _ string) ([]netip.Addr, error) {
	s.asked.Add(1)
	defer s.asked.Add(-1)
	s.most.Store(max(s.most.Load(), s.asked.Load()))
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestManyNamesWithoutAnAnswerTakeNoLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s silent
		text := "virtual=192.0.2.10:80\n\treal=192.0.2.21 gate\n"
		for i := range 1000 {
			text += fmt.Sprintf("\treal=rs%d gate\n", i)
		}
		cfg, problems := ldirectord.Parse("web.cf", []byte(text))
		if cfg == nil {
			t.Fatal(lines(problems))
		}
		began := time.Now()
		table, problems := cfg.Table(t.Context(), config.NewNames(&s))
		if took := time.Since(began); took > 8*time.Second || len(problems) != 1000 || s.most.Load() > 128 {
			t.Errorf("%v, %d problems, %d at a time", took, len(problems), s.most.Load())
		}
		if got, want := table.String(), "-A -t 192.0.2.10:80 -s wrr\n-a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 1\n"; got != want {
			t.Error(got)
		}
		if want := "web.cf:3: real server rs0: lookup rs0: no answer in time, so it is left out"; problems[0].String() != want {
			t.Error(problems[0])
		}
	})
}

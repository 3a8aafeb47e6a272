package directord

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"lvs-agents/internal/config"
	"lvs-agents/internal/directord/compat"
	"lvs-agents/internal/disk"
	"lvs-agents/internal/health"
)

// hosts is a resolver that maps each host name to an address.
type hosts map[string]string

func (h hosts) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	if addr, known := h[host]; known {
		return []netip.Addr{netip.MustParseAddr(addr)}, nil
	}
	return nil, fmt.Errorf("lookup %s: no such host", host)
}

func (h hosts) LookupAddr(_ context.Context, addr string) ([]string, error) {
	for name, known := range h {
		if known == addr {
			return []string{name + "."}, nil
		}
	}
	return nil, fmt.Errorf("lookup %s: no such host", addr)
}

// loading is a source with additional methods for tests.
type loading struct {
	*source
	t *testing.T
}

func newLoading(t *testing.T, h hosts) loading {
	dir := t.TempDir()
	s := &source{
		options: options{config: filepath.Join(dir, "web.cf"), stateDir: dir, purge: true}, files: new(disk.Reader),
		names: config.NewNames(h), log: silent(), lines: compat.NewLog("web", io.Discard),
	}
	return loading{s, t}
}

// read writes and loads a configuration file. It accepts the configuration if load returns no
// error.
func (l loading) read(text string) error {
	l.t.Helper()
	if err := os.WriteFile(l.config, []byte(text), 0o600); err != nil {
		l.t.Fatal(err)
	}
	setup, err := l.load(l.t.Context())
	if err == nil {
		l.accept(setup)
	}
	return err
}

// TestReloadRefusesNoMore checks that a reload accepts the faults that the start accepted, and
// refuses a file with new faults.
func TestReloadRefusesNoMore(t *testing.T) {
	const good = "virtual=192.0.2.10:80\n\treal=192.0.2.21 gate\n"
	const bad = "virtual=192.0.2.11:80\n\treal=192.0.2.21 gate\n\treceive=\"(*SKIP)\"\n"
	const worse = "virtual=192.0.2.12:80\n\treal=192.0.2.21 gate 1 \"http://192.0.2.9:x/\", \"\"\n"
	l := newLoading(t, hosts{"rs1": "192.0.2.21"})
	for _, step := range []struct{ name, text, want string }{
		{"start", good + bad, ""},
		{"the same", good + bad, ""},
		{"another service", good + "virtual=5\n\treal=192.0.2.21 gate\n" + bad, ""},
		{"one more", good + bad + worse, l.config + ":7: request is not a URL, so this real server is never up; write special characters of a login as %XX"},
		{"again", good + bad + worse, l.config + ":7: request is not a URL, so this real server is never up; write special characters of a login as %XX"},
		{"repaired", good, ""},
		{"a name", good + "\treal=rs1 gate\n", ""},
		{"a misspelled name", good + "\treal=rs1 gate\n\treal=rs9 gate\n", l.config + ":4: real server rs9: lookup rs9: no such host, so it is left out"},
		{"damaged", good + bad, l.config + `:5:10: receive "(*SKIP)" cannot be used: (*SKIP) is not understood at character 1, so its real servers are never up; write the expression without it`},
	} {
		got := ""
		if err := l.read(step.text); err != nil {
			got = err.Error()
		}
		if got != step.want {
			t.Errorf("%s:\ngot  %s\nwant %s", step.name, got, step.want)
		}
	}
}

// TestNamesThatLoseTheirAddress checks that a reload accepts a host name that has lost its address,
// and a host name that was already unknown at the start.
func TestNamesThatLoseTheirAddress(t *testing.T) {
	h := hosts{"rs1": "192.0.2.21"}
	l := newLoading(t, h)
	text := "virtual=192.0.2.10:80\n\treal=rs1 gate\n\treal=rs9 gate\n"
	for mark := range 3 {
		if err := l.read(text); err != nil {
			t.Fatal(err)
		}
		delete(h, "rs1")
		text += fmt.Sprintf("virtual=%d\n\treal=192.0.2.29 gate\n", mark+1)
	}
}

// TestNamesAreLookedUpAgain checks that the daemon looks up the names of the configuration in use.
// It does not use the names in a file that was edited without a reload.
func TestNamesAreLookedUpAgain(t *testing.T) {
	h := hosts{"rs1": "192.0.2.21"}
	l := newLoading(t, h)
	if err := l.read("virtual=192.0.2.10:80\n\treal=rs1 gate\n\treal=rs2 gate\n"); err != nil || !l.names.Missing() {
		t.Fatal(err, l.names.Missing())
	}
	if err := os.WriteFile(l.config, []byte("virtual=192.0.2.10:80\n\treal=rs1 gate\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := l.lookUpAgain(t.Context()); !errors.Is(err, health.ErrUnchanged) {
		t.Errorf("still no address: %v", err)
	}
	delete(h, "rs1")
	h["rs2"] = "192.0.2.22"
	setup, err := l.lookUpAgain(t.Context())
	if err != nil || len(setup.Services[0].Reals) != 2 {
		t.Fatalf("%+v, %v", setup, err)
	}
	l.accept(setup)
	h["rs1"] = "192.0.2.21"
	if setup, err = l.lookUpAgain(t.Context()); err != nil || len(setup.Problems) > 0 || l.names.Missing() {
		t.Errorf("%v, %v, %t", setup.Problems, err, l.names.Missing())
	}
}

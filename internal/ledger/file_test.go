package ledger

import (
	"errors"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"lvs-agents/internal/host"
	"lvs-agents/internal/state"
)

func someLedger() Ledger {
	var l Ledger
	ip := netip.MustParseAddr("192.0.2.10")
	for _, id := range []string{"web", `o"d d`} {
		l.Enter(id, Running)
		l.Hold(id, host.Setting{Kind: host.Sysctl, Name: "net/ipv4/conf/all/arp_ignore"}, "0", "1")
		l.Hold(id, host.Setting{Kind: host.HostAddress, NIC: "lo", IP: ip, Scope: "global"}, host.Off, host.On)
	}
	l.Enter("web", Stopping)
	return l
}

var comparable = cmpopts.EquateComparable(netip.Addr{})

func TestLedgerIsReadBack(t *testing.T) {
	s, err := In(t.TempDir(), RealServer)
	if err != nil {
		t.Fatal(err)
	}
	if l, err := s.Load(); err != nil || len(l.Holders) > 0 {
		t.Errorf("before the first: %+v %v", l, err)
	}
	want := someLedger()
	if err := s.Save(want); err != nil {
		t.Fatal(err)
	}
	got, err := s.Load()
	if diff := cmp.Diff(want, got, comparable); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	text, err := os.ReadFile(s.path)
	if err != nil {
		t.Fatal(err)
	}
	// a file without the line of the owner can be from another namespace
	owned := strings.Index(string(text), "holder")
	// Load must report the damage if the file is cut after any byte from here on
	for cut := owned; cut < len(text)-1; cut++ {
		if err := os.WriteFile(s.path, text[:cut], 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Load(); !errors.Is(err, state.ErrDamaged) {
			t.Fatalf("cut after %d bytes: %v", cut, err)
		}
	}
	for _, id := range []string{"web", `o"d d`} {
		got.Leave(id)
	}
	if err := s.Save(got); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(s.path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("an empty ledger is left: %v", err)
	}
}

func TestLedgerOfAnotherNamespaceIsNone(t *testing.T) {
	s, err := In(t.TempDir(), RealServer)
	if err != nil {
		t.Fatal(err)
	}
	other := s
	other.here.Inode = "1"
	if err := other.Save(someLedger()); err != nil {
		t.Fatal(err)
	}
	if l, err := s.Load(); err != nil || len(l.Holders) > 0 {
		t.Errorf("%+v %v", l, err)
	}
}

func TestAloneCountsRunningHoldersOnly(t *testing.T) {
	l := someLedger()
	e := l.Entries[0]
	if !l.Alone(`o"d d`, e) {
		t.Error("a holder that stops counts")
	}
	if l.Alone("web", e) {
		t.Error("a running holder does not count")
	}
	if got := l.Hold("mail", e.Setting, "7", "8"); got.Found != "0" || got.Set != "1" || len(got.By) != 3 {
		t.Errorf("a later holder changed what was found: %+v", got)
	}
}

func FuzzLedger(f *testing.F) {
	s := Store{title: titles[RealServer], here: state.Here{Boot: "b", Inode: "1", Cookie: "2"}}
	f.Add(s.format(someLedger()))
	f.Add(s.title + "\nholder running \"web\"\nsetting \"x\" found")
	f.Fuzz(func(t *testing.T, text string) {
		l, _, err := s.parse(text)
		written := s.format(l) // format writes a correct ledger even if text was damaged
		again, by, readBack := s.parse(written)
		if readBack != nil || !s.here.Wrote(by.Owner, by.Cookie) || s.format(again) != written {
			t.Errorf("%q (%v) became %q: %v", text, err, written, readBack)
		}
	})
}

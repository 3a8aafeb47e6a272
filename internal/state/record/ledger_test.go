package record

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
	s, err := In(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if l, err := s.LoadLedger(); err != nil || len(l.Holders) > 0 {
		t.Errorf("before the first: %+v %v", l, err)
	}
	want := someLedger()
	if err := s.SaveLedger(want); err != nil {
		t.Fatal(err)
	}
	got, err := s.LoadLedger()
	if diff := cmp.Diff(want, got, comparable); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	text, err := os.ReadFile(s.host)
	if err != nil {
		t.Fatal(err)
	}
	owned := strings.Index(string(text), "holder") // without an owner it may be anybody's
	for cut := owned; cut < len(text)-1; cut++ {   // cut short anywhere it is damaged, and no reader dies of it
		if err := os.WriteFile(s.host, text[:cut], 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := s.LoadLedger(); !errors.Is(err, ErrDamaged) {
			t.Fatalf("cut after %d bytes: %v", cut, err)
		}
	}
	for _, id := range []string{"web", `o"d d`} {
		got.Leave(id)
	}
	if err := s.SaveLedger(got); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(s.host); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("an empty ledger is left: %v", err)
	}
}

func TestLedgerOfAnotherNamespaceIsNone(t *testing.T) {
	s, err := In(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	other := s
	other.here.Inode = "1"
	if err := other.SaveLedger(someLedger()); err != nil {
		t.Fatal(err)
	}
	if l, err := s.LoadLedger(); err != nil || len(l.Holders) > 0 {
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
	s := Store{here: state.Here{Boot: "b", Inode: "1", Cookie: "2"}}
	f.Add(s.formatLedger(someLedger()))
	f.Add(ledgerTitle + "\nholder running \"web\"\nsetting \"x\" found")
	f.Fuzz(func(t *testing.T, text string) {
		l, _, err := parseLedger(text)
		written := s.formatLedger(l) // also of a damaged one: it is put right by that
		again, by, readBack := parseLedger(written)
		if readBack != nil || !by.wrote(s.here) || s.formatLedger(again) != written {
			t.Errorf("%q (%v) became %q: %v", text, err, written, readBack)
		}
	})
}

package connection

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// some returns n connections, from clients that have consecutive ports.
func some(n int) []Connection {
	all := make([]Connection, n)
	for i := range all {
		all[i] = Connection{
			Protocol: tcp, State: "ESTABLISHED", Expires: time.Hour,
			Client:  netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i >> 15)}), uint16(i)|0x8000),
			Virtual: netip.MustParseAddrPort("192.0.2.10:80"), Real: netip.MustParseAddrPort("192.0.2.21:80"),
		}
	}
	return all
}

func sketchOf(all []Connection) (s Sketch) {
	for _, c := range all {
		s.Add(c)
	}
	return s
}

// share returns which percentage of a sketch a director has that holds the connections have.
func share(s Sketch, have []Connection) int {
	found := map[uint32]bool{}
	s.Want(found)
	for _, c := range have {
		if _, wanted := found[c.Hash()]; wanted {
			found[c.Hash()] = true
		}
	}
	return s.Share(found)
}

// TestShareIsNearTheTrueShare checks the error bounds of the estimate for several true shares.
func TestShareIsNearTheTrueShare(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{1, 10, 128, 1000, 50000} {
		all := some(n)
		s := sketchOf(all)
		if s.Count != n || len(s.hashes) != min(n, sketchSize) {
			t.Fatalf("%d connections: count %d, %d hashes", n, s.Count, len(s.hashes))
		}
		if got := share(s, all); got != 100 {
			t.Errorf("%d of %d connections: %d %%", n, n, got)
		}
		if got := share(s, nil); got != 0 {
			t.Errorf("0 of %d connections: %d %%", n, got)
		}
		if n < 1000 {
			continue
		}
		for _, percent := range []int{10, 50, 90, 95} {
			random.Shuffle(n, func(i, j int) { all[i], all[j] = all[j], all[i] })
			got := share(s, all[:n*percent/100])
			// The limit is 14 percentage points: three times the standard deviation of 128 draws, and
			// one for the rounding.
			if off := got - percent; off*off > 14*14 || percent <= 95 && got >= 99 {
				t.Errorf("%d %% of %d connections: %d %%", percent, n, got)
			}
		}
	}
}

// TestOneMissingConnectionOfFew checks that the share of a small set is exact and not rounded up.
func TestOneMissingConnectionOfFew(t *testing.T) {
	all := some(50)
	if got := share(sketchOf(all), all[1:]); got != 98 {
		t.Errorf("%d %%", got)
	}
}

// TestOrderDoesNotMatter checks that two directors with the same connections have the same sketch.
func TestOrderDoesNotMatter(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	all := some(1000)
	want := sketchOf(all).String()
	for range 20 {
		random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		if got := sketchOf(all).String(); got != want {
			t.Fatalf("got  %s\nwant %s", got, want)
		}
	}
}

// TestTextIsStable checks the text of a sketch, which other directors read. If you change the text,
// change sketchVersion, too.
func TestTextIsStable(t *testing.T) {
	for n, want := range map[int]string{0: "1:0:", 3: stable} {
		s := sketchOf(some(n))
		if got := s.String(); got != want {
			t.Errorf("%d connections: got %s, want %s", n, got, want)
		}
		back, err := ParseSketch(want)
		if err != nil || back.String() != want {
			t.Errorf("%s: read as %s, %v", want, back, err)
		}
	}
	if n := len(sketchOf(some(100000)).String()); n > 700 {
		t.Errorf("the text of a full sketch has %d bytes", n)
	}
}

// stable is the text of the sketch of some(3).
const stable = "1:3:sYsC-MHyUP3gIOE5"

func TestTextsThatAreNotASketch(t *testing.T) {
	full := sketchOf(some(200)).String()
	for _, text := range []string{
		"", "1", "1:", "1::", "2" + full[1:], "1:0:AAAA", "1:x:", "1:-1:", "1:1:AAAAAQ", "1:1:AAAAAQ==",
		"1:2:AAAAAQAAAAE", "1:2:AAAAAgAAAAE", "1:1:AAAAAQAAAAI", full + "AAAA", full[:len(full)-1], full + " x", " " + full, strings.ToUpper(full),
	} {
		if s, err := ParseSketch(text); text != "1:1:AAAAAQ" && !errors.Is(err, ErrSketch) {
			t.Errorf("%q: %v, %v", text, s, err)
		}
	}
}

func TestLasting(t *testing.T) {
	lines := strings.SplitAfter(table, "\n")
	for i, want := range []bool{true, true, true, true, false, false, true} {
		if got := read(t, lines[i+1])[0].Lasting(); got != want {
			t.Errorf("%s: %v", lines[i+1], got)
		}
	}
	if read(t, strings.Replace(lines[1], "897", " 29", 1))[0].Lasting() {
		t.Error("a connection that expires soon")
	}
}

func FuzzParseSketch(f *testing.F) {
	f.Add("1:0:")
	f.Add(sketchOf(some(3)).String())
	f.Fuzz(func(t *testing.T, text string) {
		if s, err := ParseSketch(text); err == nil && s.String() != text {
			t.Errorf("%q read as %q", text, s)
		}
	})
}

package mark

import (
	"bytes"
	"net/netip"
	"testing"

	"lvs-agents/internal/host"
)

// TestNetworksAreRanges checks that a network becomes a range of a set, and this range the same
// network.
func TestNetworksAreRanges(t *testing.T) {
	for text, last := range map[string]string{
		"192.0.2.10": "192.0.2.10", "192.0.2.64/27": "192.0.2.95", "128.0.0.0/1": "255.255.255.255",
		"2001:db8::10": "2001:db8::10", "2001:db8::/65": "2001:db8::7fff:ffff:ffff:ffff", "8000::/1": "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
	} {
		p, err := host.ParseNetwork(text)
		if err != nil {
			t.Fatal(err)
		}
		f := families[0]
		if p.Addr().Is6() {
			f = families[1]
		}
		s := networkSpan(p)
		if !bytes.Equal(s.last, netip.MustParseAddr(last).AsSlice()) {
			t.Errorf("%s ends with %x", text, s.last)
		}
		if got, err := f.network(s); got != p || err != nil {
			t.Errorf("%s became %s, %v", text, got, err)
		}
	}
	if p, err := families[0].network(span{[]byte{192, 0, 2, 10}, []byte{192, 0, 2, 12}}); err == nil {
		t.Errorf("three addresses became %s", p)
	}
}

func TestAfterAndBefore(t *testing.T) {
	for _, tt := range [][2][]byte{{{0, 80}, {0, 81}}, {{0, 255}, {1, 0}}, {{254, 255}, {255, 0}}, {{1, 255, 255}, {2, 0, 0}}} {
		if got := after(tt[0]); !bytes.Equal(got, tt[1]) {
			t.Errorf("after %x: %x", tt[0], got)
		}
		if got := before(tt[1]); !bytes.Equal(got, tt[0]) {
			t.Errorf("before %x: %x", tt[1], got)
		}
	}
	if got := after([]byte{255, 255}); got != nil {
		t.Errorf("after the last value: %x", got)
	}
	list := elements(spans([]host.Ports{{First: 80, Last: 80}, {First: 8000, Last: 65535}}, portSpan), true)
	if len(list) != 3 || !bytes.Equal(list[2].Key, []byte{0x1f, 0x40}) || !list[1].IntervalEnd {
		t.Errorf("%v", list)
	}
}

// TestRulesBeforeOurs checks which rules of PREROUTING can keep packets away from our chain.
func TestRulesBeforeOurs(t *testing.T) {
	rules := []string{"-P PREROUTING ACCEPT", "-N ours", "-N loop", "-N deep", "-N skip", "-A loop -j loop", "-A loop -j deep", "-A deep -p tcp -j ACCEPT", "-A skip -j RETURN", "-A skip -j MARK --set-xmark 0x1/0x1"}
	for rule, want := range map[string]bool{
		"-A PREROUTING -j ACCEPT":                    true,
		"-A PREROUTING -s 198.51.100.0/24 -j RETURN": true,
		"-A PREROUTING -j NFQUEUE --queue-num 1":     true,
		"-A PREROUTING -g skip":                      true,
		"-A PREROUTING -j loop":                      true,
		"-A PREROUTING -j skip":                      false,
		"-A PREROUTING -j DROP":                      false,
		"-A PREROUTING -j CONNMARK --restore-mark":   false,
		"-A PREROUTING -m comment --comment counted": false,
	} {
		err := hookedFirst(append(append(rules, rule), "-A PREROUTING -j ours"), "ours")
		if (err != nil) != want {
			t.Errorf("%s: %v", rule, err)
		}
		if err := hookedFirst(append(append(rules, "-A PREROUTING -j ours"), rule), "ours"); err != nil {
			t.Errorf("%s after ours: %v", rule, err)
		}
	}
}

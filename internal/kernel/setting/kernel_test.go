package setting

import (
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"lvs-agents/internal/kernel/kerneltest"
)

func TestKernel(t *testing.T) {
	kerneltest.Namespace(t)
	if _, err := exec.LookPath("arptables"); err != nil {
		kerneltest.Need(t, "arptables")
	}
	for _, name := range []string{"arp_ignore", "arp_announce"} {
		if err := os.WriteFile("/proc/sys/net/ipv4/conf/all/"+name, []byte("0"), 0); err != nil {
			t.Fatal(err)
		}
	}
	kerneltest.NewPeer(t, "eth0")
	kerneltest.Run(t, "ip addr add 192.0.2.21/24 dev eth0\nip addr add 2001:db8::21/64 dev eth0 nodad")
	kerneltest.RunSettings(t, New(t.TempDir()))
}

// TestUnserved checks which virtual addresses unserved finds in a connection table of Linux 6.1.
func TestUnserved(t *testing.T) {
	const text = `Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Origin Expires
TCP CB00710A 9C40 C000020A 0050 C0000215 0050 ESTABLISHED SYNC       899
TCP CB00710A 9C41 C0000263 0050 C0000215 0050 ESTABLISHED SYNC       899
TCP CB00710B 9C41 C0000263 0050 C0000215 0050 ESTABLISHED SYNC       899
TCP CB00710A 9C42 C0000262 0050 C0000215 0050 ESTABLISHED LOCAL      899
TCP 2001:0db8:0000:0000:0000:0000:0000:0100 9C40 2001:0db8:0000:0000:0000:0000:0000:0063 0050 2001:0db8:0000:0000:0000:0000:0000:0021 0050 ESTABLISHED SYNC       899
`
	words := func(yield func([]string) bool) {
		for line := range strings.Lines(text) {
			if !yield(strings.Fields(line)) {
				return
			}
		}
	}
	got := unserved(words, map[netip.Addr]bool{netip.MustParseAddr("192.0.2.10"): true})
	want := []netip.Addr{netip.MustParseAddr("192.0.2.99"), netip.MustParseAddr("2001:db8::63")}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestServiceAddress(t *testing.T) {
	for text, want := range map[string]string{
		"C000020A:0050": "192.0.2.10", "[2001:0db8:0000:0000:0000:0000:0000:0010]:0050": "2001:db8::10",
	} {
		if got := serviceAddress(text); got != netip.MustParseAddr(want) {
			t.Errorf("%s: %s", text, got)
		}
	}
	for _, text := range []string{"", ":", "[:", "00000005", "XYZ:0050"} {
		if got := serviceAddress(text); got.IsValid() && text != "00000005" {
			t.Errorf("%q: %s", text, got)
		}
	}
}

package kerneltest

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lvs-agents/internal/host"
)

func TestLinks(t *testing.T) {
	RunLinks(t, func(*testing.T) LinkKernel {
		k := NewLinks()
		k.Have("eth0", "192.0.2.1/24", "2001:db8::1/64")
		k.Have("eth1", "192.0.2.129/25")
		k.Elsewhere = []netip.Addr{netip.MustParseAddr("2001:db8::2")}
		return k
	})
}

func TestLinksFailAfterAndString(t *testing.T) {
	k := NewLinks()
	k.Have("eth0", "192.0.2.1/24")
	broken := errors.New("broken")
	k.FailAfter(1, broken)
	ops := []host.AddressOp{add(addr("eth0", "192.0.2.10/24")), add(addr("eth0", "192.0.2.11/24"))}
	if done, err := k.Apply(t.Context(), ops); done != 1 || !errors.Is(err, broken) {
		t.Errorf("got %d, %v", done, err)
	}
	want := "ip addr add 192.0.2.1/24 brd 192.0.2.255 dev eth0\nip addr add 192.0.2.10/24 dev eth0\n"
	if diff := cmp.Diff(want, k.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

package kerneltest

import (
	"context"
	"errors"
	"io/fs"
	"net/netip"
	"strings"
	"testing"

	"lvs-agents/internal/host"
)

// SettingKernel is the interface that RunSettings tests.
type SettingKernel interface {
	Get(ctx context.Context, s host.Setting) (string, error)
	Set(ctx context.Context, s host.Setting, value string) error
	Prepare(ctx context.Context, nic string) error
	Source(ctx context.Context, ip netip.Addr) (netip.Addr, error)
	ARPTables(ctx context.Context) (string, error)
}

// RunSettings tests that a kernel handles settings as Linux does. The kernel is a host with eth0 in
// 192.0.2.0/24 and 2001:db8::/64, whose own addresses end in 21. All sysctls of the settings must
// be 0 before the call.
func RunSettings(t *testing.T, k SettingKernel) {
	ctx := t.Context()
	program, err := k.ARPTables(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		"address nic=lo ip=192.0.2.10 scope=host", "address nic=lo ip=2001:db8::10",
		"route ip=192.0.2.11", "route ip=2001:db8::11",
		"arptables name=" + program + " ip=192.0.2.10", "arptables name=" + program + " ip=192.0.2.10 source=192.0.2.21",
		"nftables ip=192.0.2.10 source=192.0.2.21", "sysctl name=net/ipv4/conf/all/arp_announce",
	} {
		s, err := host.ParseSetting(text)
		if err != nil {
			t.Fatal(err)
		}
		on, off, again := host.On, host.Off, fs.ErrExist
		if s.Kind == host.Sysctl {
			on, off, again = "2", "0", nil
		}
		want := func(value string) {
			t.Helper()
			if got, err := k.Get(ctx, s); got != value || err != nil {
				t.Errorf("%s: got %q %v, want %q", text, got, err, value)
			}
		}
		set := func(value string) {
			t.Helper()
			if err := k.Set(ctx, s, value); err != nil {
				t.Error(err)
			}
		}
		want(off)
		set(on)
		want(on)
		// arptables can have a rule twice, and Set replaces an nftables table.
		if s.Kind != host.ARPTables && s.Kind != host.NFTables {
			if err := k.Set(ctx, s, on); !errors.Is(err, again) || err != nil && !strings.HasPrefix(err.Error(), s.Command(on)+": ") {
				t.Errorf("%s twice: %v", text, err)
			}
		}
		set(off)
		want(off)
	}
	for _, text := range []string{"link nic=none0", "sysctl name=net/ipv4/conf/none0/arp_ignore"} {
		s, _ := host.ParseSetting(text)
		if value, err := k.Get(ctx, s); value != "" || err != nil {
			t.Errorf("%s: %q %v", text, value, err)
		}
	}
	for nic, want := range map[string]string{
		"lo": "", "eth0": "interface eth0: hosts on its network would get ARP replies for the address; use lo, a tunnel or a dummy interface",
		"none0": `network interface "none0" does not exist; create it or give one that ip link shows`,
	} {
		if err := k.Prepare(ctx, nic); err == nil && want != "" || err != nil && err.Error() != want {
			t.Errorf("prepare %s: %v", nic, err)
		}
	}
	if got, err := k.Source(ctx, netip.MustParseAddr("192.0.2.10")); got != netip.MustParseAddr("192.0.2.21") || err != nil {
		t.Errorf("source: %v %v", got, err)
	}
	if _, err := k.Source(ctx, netip.MustParseAddr("203.0.113.10")); !errors.Is(err, host.ErrNoNetwork) ||
		!strings.HasSuffix(err.Error(), "of this host holds 203.0.113.10; give source, the address of this host") {
		t.Errorf("source: %v", err)
	}
}

package kerneltest

import (
	"context"
	"fmt"
	"testing"

	"lvs-agents/internal/host"
)

// Marks is a fake of the kernel of a director that marks packets. It has the methods of
// internal/kernel/mark and of Settings.
type Marks struct {
	*Settings

	Foreign bool                      // Foreign says that the table mangle of legacy iptables has rules.
	Lacks   map[host.SettingKind]bool // Lacks has the kinds of marks that the host cannot have.
}

// NewMarks returns a host with nftables and legacy iptables.
func NewMarks() *Marks { return &Marks{Settings: NewSettings(), Lacks: map[host.SettingKind]bool{}} }

// Set gives a setting a value, unless the host cannot have its kind.
func (k *Marks) Set(ctx context.Context, s host.Setting, value string) error {
	if err := k.Usable(ctx, s.Kind, host.Marks{}); err != nil {
		return fmt.Errorf("%s: %w", s.Command(value), err)
	}
	return k.Settings.Set(ctx, s, value)
}

// Usable returns a host.ErrNotInstalled if the host cannot have this kind of marks.
func (k *Marks) Usable(_ context.Context, kind host.SettingKind, _ host.Marks) error {
	if k.Lacks[kind] {
		return host.NotInstalled("%s are not in this kernel", kind)
	}
	return nil
}

// UsesIPTables reports whether the table mangle of legacy iptables has rules.
func (k *Marks) UsesIPTables(context.Context) bool { return k.Foreign }

// MarkKernel is the interface that RunMarks tests.
type MarkKernel interface {
	Get(ctx context.Context, s host.Setting) (string, error)
	Set(ctx context.Context, s host.Setting, value string) error
	Usable(ctx context.Context, kind host.SettingKind, m host.Marks) error
}

// RunMarks tests that a kernel sets, replaces, reads and removes marks.
func RunMarks(t *testing.T, k MarkKernel, kind host.SettingKind) {
	ctx := t.Context()
	s := host.Setting{Kind: kind, Name: "fwmark-web"}
	want := func(value string) {
		t.Helper()
		if got, err := k.Get(ctx, s); got != value || err != nil {
			t.Fatalf("got  %q %v\nwant %q", got, err, value)
		}
	}
	want(host.Off)
	for _, value := range []string{
		"mark=10 ip=192.0.2.10 proto=tcp ports=80,443",
		"mark=4294967295 ip=192.0.2.10,192.0.2.11,198.51.100.0/24,2001:db8::10,2001:db8:1::/48 proto=tcp,udp,sctp ports=1-79,8000-8010,65535 interface=eth0",
		"mark=1 ip=2001:db8::10 proto=udp",
		"mark=2 ip=0.0.0.0/0,::/0 proto=tcp ports=80",
		"mark=3 ip=128.0.0.0/1,8000::/1 proto=sctp ports=1-65535",
		"mark=4 ip=192.0.2.10 proto=tcp ports=1,3,5,7,9,11,13,15,17,19,21,23,25,27,29-30,32-33,35",
		"mark=10 ip=192.0.2.10,192.0.2.12 proto=tcp ports=80,443",
	} {
		m, err := host.ParseMarks(value)
		if err != nil {
			t.Fatal(err)
		}
		if err := k.Usable(ctx, kind, m); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := k.Set(ctx, s, value); err != nil {
				t.Fatal(err)
			}
			want(value)
		}
	}
	for range 2 {
		if err := k.Set(ctx, s, host.Off); err != nil {
			t.Fatal(err)
		}
		want(host.Off)
	}
}

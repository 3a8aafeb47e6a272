package vip

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"lvs-agents/internal/kernel/kerneltest"
)

// eventually repeats monitor until monitor returns the exit code want.
func (a agent) eventually(t *testing.T, want int, words ...string) {
	t.Helper()
	code, out := -1, ""
	for until := time.Now().Add(20 * time.Second); time.Now().Before(until); {
		if code, out = a.run(t, "monitor", words...); code == want {
			return
		}
	}
	t.Fatalf("monitor gives %d, not %d: %s", code, want, out)
}

func TestCarrierThatIsNotThereYet(t *testing.T) {
	for _, ip := range []string{vip4, vip6} {
		t.Run(ip, func(t *testing.T) {
			a, peer := link(t)
			peer.Do(func() { kerneltest.Run(t, "ip link set eth0 down") })
			a.must(t, 5, "start", "ip="+ip, "check_link_status=true")
			a.must(t, 7, "monitor", "ip="+ip)
			out := a.must(t, 0, "start", "ip="+ip)
			if want := "eth0 has no carrier: no client can reach " + ip + " on this node yet"; !strings.Contains(out, want) {
				t.Errorf("got %s", out)
			}
			a.must(t, 0, "monitor", "ip="+ip)
			peer.Do(func() { kerneltest.Run(t, "ip link set eth0 up") })
			a.eventually(t, 0, "ip="+ip, "check_link_status=true")
			peer.Do(func() { kerneltest.Run(t, "ip link set eth0 down") })
			a.eventually(t, 1, "ip="+ip, "check_link_status=true")
			a.must(t, 0, "monitor", "ip="+ip)
			a.must(t, 0, "stop", "ip="+ip)
		})
	}
}

func TestInterfaceThatIsSetDown(t *testing.T) {
	for ip, code := range map[string]int{vip4: 1, vip6: 7} { // the kernel removes IPv6 addresses when their interface goes down, and keeps IPv4 addresses
		t.Run(ip, func(t *testing.T) {
			a, _ := link(t)
			params := []string{"ip=" + ip, "nic=eth0", "cidr_netmask=64", "nodad=true"}
			if ip == vip4 {
				params[2] = "cidr_netmask=24"
			}
			a.must(t, 0, "start", params...)
			kerneltest.Run(t, "ip link set eth0 down")
			a.must(t, code, "monitor", params...)
			a.must(t, 0, "start", params...)
			a.must(t, 0, "monitor", params...)
			kerneltest.Run(t, "ip link set eth0 down")
			a.must(t, 0, "stop", params...)
			a.must(t, 7, "monitor", params...)
		})
	}
}

func TestInterfaceThatIsRenamedOrGone(t *testing.T) {
	for _, ip := range []string{vip4, vip6} {
		t.Run(ip, func(t *testing.T) {
			a, _ := link(t)
			params := []string{"ip=" + ip, "nic=eth0", "nodad=true", "OCF_RESKEY_CRM_meta_interval=10000"}
			a.must(t, 0, "start", params...)
			kerneltest.Run(t, "ip link set eth0 down\nip link set eth0 name lan0\nip link set lan0 up")
			if ip == vip6 {
				kerneltest.Run(t, "ip addr add "+ip+"/64 dev lan0 nodad")
			}
			out := a.must(t, 1, "monitor", params...)
			if want := ip + ` is on lan0: network interface "eth0" does not exist any more`; !strings.Contains(out, want) {
				t.Errorf("got %s", out)
			}
			a.must(t, 0, "stop", params...)
			if left := kerneltest.Run(t, "ip -o addr show to "+ip); left != "" {
				t.Errorf("stop left %s", left)
			}
			a.must(t, 5, "start", params...)
			kerneltest.Run(t, "ip link delete lan0")
			a.must(t, 1, "monitor", params...)
			a.must(t, 7, "monitor", params[:3]...)
			a.must(t, 0, "stop", params...)
		})
	}
}

func TestDuplicateIPv6(t *testing.T) {
	a, peer := link(t)
	peer.Do(func() { kerneltest.Run(t, "ip addr add "+vip6+"/64 dev eth0 nodad") })
	out := a.must(t, 1, "start", "ip="+vip6)
	if want := "2001:db8::10/64 on eth0: another host has this address (duplicate address detection failed)"; !strings.Contains(out, want) {
		t.Errorf("got %s", out)
	}
	a.must(t, 7, "monitor", "ip="+vip6)
	if left := kerneltest.Run(t, "ip -o addr show to "+vip6); left != "" {
		t.Errorf("start left %s", left)
	}
	a.must(t, 0, "start", "ip="+vip6, "duplicate=take")
	a.must(t, 0, "monitor", "ip="+vip6)
	a.must(t, 0, "stop", "ip="+vip6)
	kerneltest.Run(t, "ip addr add "+vip6+"/64 dev eth0")
	a.eventually(t, 1, "ip="+vip6) // the kernel keeps the duplicate address, so the exit code is 1 and not 7
}

// TestIPv6AddressIsNotASource checks whether the kernel uses the VIP as the source address of the
// director's own connections, for example of health checks. It must do this only with
// preferred_lft=forever and without an address label.
func TestIPv6AddressIsNotASource(t *testing.T) {
	for _, tt := range []struct {
		params string
		source bool
	}{{"preferred_lft=0", false}, {"preferred_lft=forever lvs_ipv6_addrlabel=true", false}, {"preferred_lft=forever", true}} {
		t.Run(tt.params, func(t *testing.T) {
			a, _ := link(t)
			// RFC 6724, section 5, rule 8 prefers the address with the longer common prefix, which
			// is the VIP here.
			a.must(t, 0, "start", append(strings.Fields(tt.params), "ip=2001:db8::fc", "nodad=true")...)
			got := kerneltest.Run(t, "ip -6 route get 2001:db8::fe")
			if source := strings.Contains(got, " src 2001:db8::fc "); source != tt.source {
				t.Errorf("got %s", got)
			}
		})
	}
}

// TestManyAddresses checks a stop on an interface with many addresses. The stop must remove only
// the VIP. In one case the VIP is the first address of its network, so that the kernel would remove
// the others together with it.
func TestManyAddresses(t *testing.T) {
	a, _ := link(t)
	send, err := kerneltest.Start(t, "ip", "-batch", "-")
	if err != nil {
		t.Fatal(err)
	}
	a.must(t, 0, "start", "ip=198.18.0.1", "nic=eth0", "cidr_netmask=15", "arp_count=1")
	var batch strings.Builder
	const many = 500
	for n := range many {
		fmt.Fprintf(&batch, "addr add 198.18.%d.%d/15 dev eth0\n", 1+n/250, 1+n%250)
	}
	if err := send(batch.String()); err != nil {
		t.Fatal(err)
	}
	before := kerneltest.Run(t, "ip -o -4 addr show dev eth0 to 198.18.0.0/15")
	for _, ip := range []string{"198.18.0.1", "198.18.1.7"} {
		params := []string{"ip=" + ip, "nic=eth0", "cidr_netmask=15", "arp_count=1"}
		a.must(t, 0, "monitor", params...)
		a.must(t, 0, "stop", params...)
		a.must(t, 7, "monitor", params...)
		a.must(t, 0, "start", params...)
		a.must(t, 0, "monitor", params...)
	}
	after := kerneltest.Run(t, "ip -o -4 addr show dev eth0 to 198.18.0.0/15")
	if got, want := strings.Count(after, "\n"), strings.Count(before, "\n"); got != want || want != many+1 {
		t.Errorf("%d addresses, of %d", got, want)
	}
}

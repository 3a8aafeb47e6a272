package setting

import (
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"lvs-agents/internal/kernel/kerneltest"
	"lvs-agents/internal/lvs"
)

// TestRuleOfTheSyncDaemons checks that the rule which agents and lvsctl doctor print admits the
// peers alone. A socket takes the place of a backup daemon, so the test needs no IPVS.
func TestRuleOfTheSyncDaemons(t *testing.T) {
	kerneltest.Namespace(t)
	if _, err := exec.LookPath("nft"); err != nil {
		kerneltest.Need(t, "nft")
	}
	peer := kerneltest.NewPeer(t, "eth0")
	kerneltest.Run(t, "ip addr add 192.0.2.11/24 dev eth0\nip addr add 2001:db8::11/64 dev eth0 nodad")
	peer.Do(func() {
		for _, ip := range []string{"192.0.2.12/24", "192.0.2.13/24", "192.0.2.100/24", "2001:db8::12/64", "2001:db8::13/64", "2001:db8::100/64"} {
			kerneltest.Run(t, "ip addr add "+ip+" dev eth0 nodad")
		}
	})
	nic, err := net.InterfaceByName("eth0")
	if err != nil {
		t.Fatal(err)
	}
	k := New(t.TempDir())
	for _, group := range []string{"224.0.0.81", "ff05::81"} {
		to := &net.UDPAddr{IP: net.ParseIP(group), Port: lvs.SyncPort + 1, Zone: "eth0"}
		backup, err := net.ListenMulticastUDP("udp", nic, to)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = backup.Close() }()
		network, peers := "192.0.2.", "192.0.2.12, 192.0.2.13"
		if to.IP.To4() == nil {
			network, peers = "2001:db8::", "2001:db8::12, 2001:db8::13"
		}
		command := lvs.SyncFilter(lvs.SyncDaemon{Role: lvs.SyncBackup, Interface: "eth0", Group: netip.MustParseAddr(group)}, 2, peers)
		rule := strings.Trim(strings.TrimPrefix(command, "nft "), "'")
		before := k.HasTable(lvs.SyncTable)
		if out, err := exec.CommandContext(t.Context(), "nft", rule).CombinedOutput(); err != nil || before || !k.HasTable(lvs.SyncTable) {
			t.Fatalf("%s: %v: %s; table before: %v", command, err, out, before)
		}
		for _, host := range []string{"100", "12", "13"} {
			peer.Do(func() {
				conn, err := net.DialUDP("udp", &net.UDPAddr{IP: net.ParseIP(network + host), Zone: ""}, to)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := conn.Write([]byte(host)); err != nil {
					t.Error(err)
				}
				_ = conn.Close()
			})
		}
		var got []string
		buffer := make([]byte, 10)
		for len(got) < 2 {
			_ = backup.SetReadDeadline(time.Now().Add(5 * time.Second))
			n, err := backup.Read(buffer)
			if err != nil {
				t.Fatalf("%s: after %v: %v", command, got, err)
			}
			got = append(got, string(buffer[:n]))
		}
		if strings.Join(got, " ") != "12 13" {
			t.Errorf("%s\nadmits %v", command, got)
		}
		kerneltest.Run(t, "nft delete table "+map[bool]string{true: "ip6", false: "ip"}[to.IP.To4() == nil]+" "+lvs.SyncTable)
	}
}

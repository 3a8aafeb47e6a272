package mark

import (
	"encoding/binary"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lvs-agents/internal/host"
	"lvs-agents/internal/kernel/kerneltest"
)

var (
	byNFT  = host.Setting{Kind: host.NFTMarks, Name: "fwmark-web"}
	legacy = host.Setting{Kind: host.IPTablesMarks, Name: "fwmark-web"}
)

const web = "mark=10 ip=192.0.2.10,2001:db8::10 proto=tcp ports=80,443"

// need begins a namespace where this kind of marks works, and skips the test if it does not work.
func need(t *testing.T, s host.Setting) {
	t.Helper()
	kerneltest.Namespace(t)
	m, err := host.ParseMarks(web)
	if err != nil {
		t.Fatal(err)
	}
	if err := (Kernel{}).Usable(t.Context(), s.Kind, m); err != nil {
		kerneltest.Need(t, err.Error())
	}
}

// sh runs a shell command in the namespace of the test.
func sh(t *testing.T, script string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "sh", "-ec", script).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
	return string(out)
}

func TestNFTablesKernel(t *testing.T) {
	need(t, byNFT)
	kerneltest.RunMarks(t, Kernel{}, host.NFTMarks)
}

func TestIPTablesKernel(t *testing.T) {
	need(t, legacy)
	kerneltest.RunMarks(t, Kernel{}, host.IPTablesMarks)
}

// TestPrintedCommandsMakeTheSameRules runs the commands of messages with the programs of
// administrators. Get must then return the value of the command.
func TestPrintedCommandsMakeTheSameRules(t *testing.T) {
	for _, s := range []host.Setting{byNFT, legacy} {
		t.Run(string(s.Kind), func(t *testing.T) {
			need(t, s)
			for _, value := range []string{
				web, "mark=7 ip=192.0.2.10 proto=udp ports=53", "mark=8 ip=0.0.0.0/0,::/0 proto=tcp,udp,sctp ports=80,8000-8010 interface=eth0",
				"mark=9 ip=192.0.2.10,198.51.100.0/24 proto=tcp",
			} {
				sh(t, s.Command(value))
				if got, err := (Kernel{}).Get(t.Context(), s); got != value || err != nil {
					t.Errorf("%s\ngot  %s %v\nwant %s", s.Command(value), got, err, value)
				}
				if err := (Kernel{}).Set(t.Context(), s, host.Off); err != nil {
					t.Fatal(err)
				}
			}
			if err := (Kernel{}).Set(t.Context(), s, "mark=7 ip=192.0.2.10 proto=udp ports=53"); err != nil {
				t.Fatal(err)
			}
			sh(t, s.Command(host.Off))
			if got, err := (Kernel{}).Get(t.Context(), s); got != host.Off || err != nil {
				t.Errorf("after %s: %s %v", s.Command(host.Off), got, err)
			}
		})
	}
}

// TestChangesOfOtherPrograms checks what Get returns after other programs have changed rules. Set
// must then write our rules again, and delete them.
func TestChangesOfOtherPrograms(t *testing.T) {
	const nft, table, rule = "nft ", "inet fwmark-web", " inet fwmark-web prerouting "
	const mangle = "iptables-legacy -t mangle "
	const own = mangle + "-S | grep -q -- '-A fwmark-web'; "
	for _, tt := range []struct {
		name    string
		setting host.Setting
		script  string
		want    string
	}{
		{"flushed ruleset", byNFT, "nft flush ruleset", "off"},
		{"flushed table", byNFT, nft + "flush table " + table, "empty"},
		{"no chain", byNFT, nft + "flush table " + table + "; nft delete chain" + rule, "empty"},
		{"dormant", byNFT, nft + "'add table " + table + " { flags dormant; }'", "switched off (flags dormant)"},
		{"accept before", byNFT, nft + "insert rule" + rule + "ip saddr 198.51.100.1 accept", "changed (a rule compares something else)"},
		{"accept all before", byNFT, nft + "insert rule" + rule + "accept", "changed (a rule has another expression, *expr.Verdict)"},
		{"other mark after", byNFT, nft + "add rule" + rule + "meta mark set 0", "changed (a rule lacks its mark, family or protocols)"},
		{"another address", byNFT, nft + "add rule" + rule + "ip daddr 192.0.2.99 meta l4proto tcp th dport '{ 80, 443 }' meta mark set 10",
			"mark=10 ip=192.0.2.10,192.0.2.99,2001:db8::10 proto=tcp ports=80,443"},
		{"another port", byNFT, nft + "add rule" + rule + "ip daddr 192.0.2.99 meta l4proto tcp th dport 81 meta mark set 10", "changed (its rules differ in more than the addresses)"},
		{"negated", byNFT, nft + "add rule" + rule + "ip daddr 192.0.2.99 meta l4proto tcp th dport != 81 meta mark set 10", "changed (a rule has another expression, *expr.Cmp)"},
		{"another chain", byNFT, nft + "'add chain " + table + " other { type filter hook input priority 0; }'", "changed (it has another chain or hook)"},
		{"foreign table", byNFT, nft + "add table ip foreign", web},
		{"flushed chain", legacy, mangle + "-F fwmark-web", "empty"},
		{"flushed table", legacy, mangle + "-F; ip6tables-legacy -t mangle -F", "empty"},
		{"removed", legacy, mangle + "-F; " + mangle + "-X; ip6tables-legacy -t mangle -F; ip6tables-legacy -t mangle -X", "off"},
		{"IPv4 removed", legacy, mangle + "-F; " + mangle + "-X", "mark=10 ip=2001:db8::10 proto=tcp ports=80,443"},
		{"not hooked", legacy, mangle + "-D PREROUTING -j fwmark-web", "called by 0 rules of PREROUTING"},
		{"hooked twice", legacy, mangle + "-A PREROUTING -j fwmark-web", "called by 2 rules of PREROUTING"},
		{"hooked with a condition", legacy, mangle + "-A PREROUTING -p tcp -j fwmark-web", "called by another rule: -A PREROUTING -p tcp -j fwmark-web"},
		{"called by OUTPUT", legacy, mangle + "-A OUTPUT -j fwmark-web", "called by another rule: -A OUTPUT -j fwmark-web"},
		{"accept before", legacy, mangle + "-I PREROUTING -s 198.51.100.0/24 -j ACCEPT", "preceded by a rule that can accept packets: -A PREROUTING -s 198.51.100.0/24 -j ACCEPT"},
		{"return before", legacy, mangle + "-I PREROUTING -j RETURN", "preceded by a rule that can accept packets: -A PREROUTING -j RETURN"},
		{"accept in a chain before", legacy, mangle + "-N a ||:; " + mangle + "-N b ||:; " + mangle + "-A b -j ACCEPT; " + mangle + "-A a -j b; " + mangle + "-I PREROUTING -j a",
			"preceded by a rule that can accept packets: -A PREROUTING -j a"},
		{"return in a chain before", legacy, mangle + "-N a ||:; " + mangle + "-A a -j RETURN; " + mangle + "-I PREROUTING -j a", web},
		{"drop before", legacy, mangle + "-I PREROUTING -s 198.51.100.0/24 -j DROP", web},
		{"accept after", legacy, mangle + "-A PREROUTING -j ACCEPT", web},
		{"another rule", legacy, own + mangle + "-A fwmark-web -j MARK --set-mark 3", "changed (it has other rules)"},
		{"another mark", legacy, mangle + "-R fwmark-web 1 -d 192.0.2.10 -p tcp -m multiport --dports 80,443 -j MARK --set-mark 3",
			"changed (the rules of IPv4 and IPv6 differ)"},
	} {
		t.Run(string(tt.setting.Kind)+", "+tt.name, func(t *testing.T) {
			need(t, tt.setting)
			k := Kernel{}
			const state = "nft list ruleset; iptables-legacy-save -t mangle | grep -v '^#' | sed 's/ .[0-9:]*]$//'; ip6tables-legacy -t mangle -S"
			sh(t, "nft add table inet foreign; "+mangle+"-A PREROUTING -d 192.0.2.98 -j MARK --set-mark 9; ip6tables-legacy -t mangle -S; "+mangle+"-S")
			before := sh(t, state)
			if err := k.Set(t.Context(), tt.setting, web); err != nil {
				t.Fatal(err)
			}
			sh(t, tt.script)
			if got, err := k.Get(t.Context(), tt.setting); got != tt.want || err != nil {
				t.Errorf("got  %s %v\nwant %s\n%s", got, err, tt.want, sh(t, state))
			}
			if err := k.Set(t.Context(), tt.setting, web); err != nil {
				t.Fatal(err)
			}
			if got, err := k.Get(t.Context(), tt.setting); got != web || err != nil {
				t.Errorf("set again: got %s %v\n%s", got, err, sh(t, state))
			}
			sh(t, tt.script)
			if err := k.Set(t.Context(), tt.setting, host.Off); err != nil {
				t.Fatal(err)
			}
			if after := sh(t, state); strings.Contains(after, "fwmark-web") || tt.want == web && !strings.HasPrefix(after, before[:len("table inet foreign")]) {
				t.Errorf("left:\n%s", after)
			}
		})
	}
}

// TestOnlyOursChanges checks that Set leaves the rules of other programs as they are.
func TestOnlyOursChanges(t *testing.T) {
	for _, s := range []host.Setting{byNFT, legacy} {
		t.Run(string(s.Kind), func(t *testing.T) {
			need(t, s)
			sh(t, `nft 'table inet firewall { set s { type ipv4_addr; }; chain prerouting { type filter hook prerouting priority -150; ip saddr @s drop; }; }'
				iptables-legacy -t mangle -N other; iptables-legacy -t mangle -A PREROUTING -j other; ip6tables-legacy -t mangle -A PREROUTING -j DROP`)
			const state = "nft list ruleset; iptables-legacy -t mangle -S; ip6tables-legacy -t mangle -S"
			before := sh(t, state)
			for _, value := range []string{web, "mark=3 ip=192.0.2.10 proto=udp", host.Off} {
				if err := (Kernel{}).Set(t.Context(), s, value); err != nil {
					t.Fatal(err)
				}
			}
			if after := sh(t, state); after != before {
				t.Errorf("before\n%safter\n%s", before, after)
			}
		})
	}
}

// TestPacketsGetTheMark sends packets and reads the marks that a socket of this host receives.
func TestPacketsGetTheMark(t *testing.T) {
	for _, s := range []host.Setting{byNFT, legacy} {
		t.Run(string(s.Kind), func(t *testing.T) {
			need(t, s)
			peer := kerneltest.NewPeer(t, "eth0")
			kerneltest.Run(t, "ip addr add 192.0.2.10/24 dev eth0\nip addr add 2001:db8::10/64 dev eth0 nodad")
			peer.Do(func() {
				kerneltest.Run(t, "ip addr add 192.0.2.100/24 dev eth0\nip addr add 2001:db8::100/64 dev eth0 nodad")
			})
			if err := (Kernel{}).Set(t.Context(), s, "mark=4000000000 ip=192.0.2.10,2001:db8::10 proto=udp ports=5000-5001,5003 interface=eth0"); err != nil {
				t.Fatal(err)
			}
			for _, ip := range []string{"192.0.2.10", "2001:db8::10"} {
				for port, want := range map[int]uint32{4999: 0, 5000: 4000000000, 5001: 4000000000, 5002: 0, 5003: 4000000000} {
					to := &net.UDPAddr{IP: net.ParseIP(ip), Port: port}
					got := received(t, to, func() {
						peer.Do(func() { send(t, to) })
					})
					if got != want {
						t.Errorf("%s: mark %d, want %d", to, got, want)
					}
				}
			}
			to := &net.UDPAddr{IP: net.ParseIP("192.0.2.10"), Port: 5000}
			if got := received(t, to, func() { send(t, to) }); got != 0 {
				t.Errorf("a packet through lo has mark %d", got)
			}
		})
	}
}

func send(t *testing.T, to *net.UDPAddr) {
	t.Helper()
	conn, err := net.DialUDP("udp", nil, to)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := conn.Write(make([]byte, 4000)); err != nil { // three fragments
		t.Error(err)
	}
}

// received returns the mark of the datagram that arrives at an address while f runs.
func received(t *testing.T, at *net.UDPAddr, f func()) uint32 {
	t.Helper()
	conn, err := net.ListenUDP("udp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Control(func(fd uintptr) {
		if err := unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVMARK, 1); err != nil {
			kerneltest.Need(t, "SO_RCVMARK")
		}
	}); err != nil {
		t.Fatal(err)
	}
	f()
	_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	control := make([]byte, 100)
	_, n, _, _, err := conn.ReadMsgUDP(make([]byte, 10), control)
	if err != nil {
		t.Fatal(err)
	}
	messages, err := unix.ParseSocketControlMessage(control[:n])
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range messages {
		if m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SO_MARK {
			return binary.NativeEndian.Uint32(m.Data)
		}
	}
	t.Fatal("no mark in the control message")
	return 0
}

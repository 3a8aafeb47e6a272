package ipvs

import (
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"testing"

	knetlink "lvs-agents/internal/kernel/netlink"
	"lvs-agents/internal/lvs"
)

// native2 and native4 return numbers in the byte order of this processor, in hex.
func native2(v uint16) string { return hex.EncodeToString(binary.NativeEndian.AppendUint16(nil, v)) }
func native4(v uint32) string { return hex.EncodeToString(binary.NativeEndian.AppendUint32(nil, v)) }

// TestBytesOfMessages checks the byte order of attributes. The kernel expects ports of services and
// destinations, IPv4 netmasks and addresses in network byte order. It expects all other numbers in
// the byte order of the processor (ip_vs_ctl.c, functions ip_vs_genl_*).
func TestBytesOfMessages(t *testing.T) {
	daemon := encodeDaemon(lvs.SyncDaemon{Role: lvs.SyncBackup, Interface: "eth1", ID: 7, MaxLen: 1472, Group: netip.MustParseAddr("224.0.0.81"), Port: 8848, TTL: 2})
	for _, tt := range []struct {
		name  string
		attrs []byte
		outer int
		want  map[int]string
	}{
		{"service", ofOp(t, "-A -t 192.0.2.10:80 -s rr -p 600 -M 255.255.255.0 -b flag-1"), attrService, map[int]string{
			serviceFamily: native2(2), serviceProtocol: native2(6), serviceAddress: "c000020a", servicePort: "0050", serviceScheduler: "727200",
			serviceFlags: native4(flagPersistent|uint32(lvs.SchedOne)) + "ffffffff", serviceTimeout: native4(600), serviceNetmask: "ffffff00",
		}},
		{"mark service of IPv6", ofOp(t, "-A -f 258 -6 -s rr -p 60 -M 64"), attrService, map[int]string{
			serviceFamily: native2(10), serviceMark: native4(258), serviceTimeout: native4(60), serviceNetmask: native4(64),
		}},
		{"destination", ofOp(t, "-a -t 192.0.2.10:80 -r 192.0.2.21:8080 -i -w 65535 -x 9 -y 3"), attrDestination, map[int]string{
			destinationFamily: native2(2), destinationAddress: "c0000215", destinationPort: "1f90", destinationForward: native4(2),
			destinationWeight: native4(65535), destinationUpper: native4(9), destinationLower: native4(3),
		}},
		{"tunnel", ofOp(t, "-a -t 192.0.2.10:80 -r 192.0.2.21:80 -i -w 1 --tun-type gue --tun-port 6080 --tun-remcsum"), attrDestination, map[int]string{
			destinationTunnelType: "01", destinationTunnelPort: "17c0", destinationTunnelChecksum: native2(2),
		}},
		{"daemon", daemon, attrDaemon, map[int]string{
			daemonRole: native4(2), daemonInterface: "6574683100", daemonID: native4(7), daemonMaxLen: native2(1472),
			daemonGroup: "e0000051", daemonPort: native2(8848), daemonTTL: "02",
		}},
	} {
		got, err := parseNested(tt.attrs, tt.outer)
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		for number, want := range tt.want {
			if value := hex.EncodeToString(got[number]); value != want {
				t.Errorf("%s: attribute %d is %s, want %s", tt.name, number, value, want)
			}
		}
	}
	request := message(28, newService, knetlink.AppendAttribute(nil, 1, []byte{5}))
	if got, want := hex.EncodeToString(request.Body), "01010000"+native2(5)+native2(1)+"05000000"; got != want || request.Type != 28 {
		t.Errorf("a request is %s, want %s", got, want)
	}
}

// ofOp returns the attributes of an operation.
func ofOp(t *testing.T, text string) []byte {
	t.Helper()
	op, err := lvs.ParseOp(text)
	if err != nil {
		t.Fatal(err)
	}
	if ofDestination(op) {
		_, attrs, err := encodeDestination(op)
		if err != nil {
			t.Fatal(err)
		}
		return attrs[1]
	}
	_, attr := encodeService(op)
	return attr
}

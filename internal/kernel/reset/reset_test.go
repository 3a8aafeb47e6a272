package reset

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"lvs-agents/internal/connection"
	"lvs-agents/internal/lvs"
)

// text is a table whose last virtual address is not here.
const text = `Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData
TCP C0000264 9C41 C000020A 0050 C0000215 0050 ESTABLISHED     899
TCP C0000264 9C42 C000020A 0050 C0000216 0050 ESTABLISHED     899
TCP C0000264 9C43 C000020A 0051 C0000215 0050 ESTABLISHED     899
TCP C0000264 9C44 C000020A 0050 C0000215 0050 TIME_WAIT       99
TCP C0000264 0000 C000020A 0050 C0000215 0050 NONE            99
UDP C0000264 9C45 C000020A 0050 C0000215 0050 UDP             99
TCP C0000264 9C46 C000020A 0050 C0000215 0050 FIN_WAIT        99
TCP 2001:0db8:0000:0000:0000:0000:0000:0100 9C47 2001:0db8:0000:0000:0000:0000:0000:0010 0050 2001:0db8:0000:0000:0000:0000:0000:0021 0050 ESTABLISHED 899
TCP C0000264 9C48 C000020B 0050 C0000215 0050 ESTABLISHED     899
`

type table string

func (t table) Connections(_ context.Context, each func(connection.Connection, bool) error) (int, error) {
	return connection.Read(strings.NewReader(string(t)), func(c connection.Connection) error {
		return each(c, c.Virtual.Addr() != netip.MustParseAddr("192.0.2.11"))
	})
}

func destination(id lvs.ServiceID, addr string) lvs.Op {
	return lvs.Op{Service: lvs.Service{ID: id}, Destination: lvs.Destination{Addr: netip.MustParseAddrPort(addr)}}
}

func TestClientsOfDestinations(t *testing.T) {
	address := func(addr string) lvs.ServiceID { return lvs.AddrService(lvs.TCP, netip.MustParseAddrPort(addr)) }
	for _, row := range []struct {
		name string
		of   []lvs.Op
		want []uint16 // want has the ports of the clients.
	}{
		{"nothing", nil, nil},
		{"a service", []lvs.Op{destination(address("192.0.2.10:80"), "192.0.2.21:80")}, []uint16{40001, 40006}},
		{"the other server", []lvs.Op{destination(address("192.0.2.10:80"), "192.0.2.22:80")}, []uint16{40002}},
		{"both servers", []lvs.Op{destination(address("192.0.2.10:80"), "192.0.2.21:80"), destination(address("192.0.2.10:80"), "192.0.2.22:80")}, []uint16{40001, 40002, 40006}},
		{"all ports", []lvs.Op{destination(address("192.0.2.10:0"), "192.0.2.21:0")}, []uint16{40001, 40003, 40006}},
		{"a mark", []lvs.Op{destination(lvs.MarkService(7, false), "192.0.2.21:0")}, []uint16{40001, 40003, 40006}},
		{"another protocol", []lvs.Op{destination(lvs.AddrService(lvs.UDP, netip.MustParseAddrPort("192.0.2.10:80")), "192.0.2.21:80")}, nil},
		{"IPv6", []lvs.Op{destination(address("[2001:db8::10]:80"), "[2001:db8::21]:80")}, []uint16{40007}},
		{"another host has the address", []lvs.Op{destination(address("192.0.2.11:80"), "192.0.2.21:80")}, nil},
	} {
		clients, err := Read(t.Context(), table(text), row.of)
		if err != nil {
			t.Fatal(err)
		}
		var got []uint16
		for _, all := range clients.of {
			for _, c := range all {
				got = append(got, c.port)
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, row.want) || clients.Len() != len(got) {
			t.Errorf("%s: got %v, want %v", row.name, got, row.want)
		}
	}
}

// TestOneSegmentIsOutsideOfEachWindow has windows up to a quarter of the number space. RFC 7323
// allows no larger window.
func TestOneSegmentIsOutsideOfEachWindow(t *testing.T) {
	const window = 1 << 30
	for next := range uint64(1 << 12) {
		begin := uint32(next << 20)
		outside := slices.ContainsFunc(rounds[:2], func(r struct{ sequence, ack uint32 }) bool { return r.sequence-begin > window })
		below := slices.ContainsFunc(rounds[:], func(r struct{ sequence, ack uint32 }) bool {
			return int32(r.sequence-begin) <= 0 && int32(r.ack-^begin) <= 0
		})
		if !outside || !below {
			t.Fatalf("numbers from %d: outside of the window %t, below %t", begin, outside, below)
		}
	}
}

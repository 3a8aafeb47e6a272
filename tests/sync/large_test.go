package sync

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"testing"
	"time"

	"golang.org/x/net/ipv4"

	"lvs-agents/internal/connection"
	"lvs-agents/internal/kernel/resync"
	"lvs-agents/tests/lab"
)

// TestLargeTable fills the table of a director with connections and sends the table to the other
// director. It measures how long the kernel takes to show the table. All connections must arrive.
// LAB_CONNECTIONS is the number of connections.
func TestLargeTable(t *testing.T) {
	n := 20_000
	if text := os.Getenv("LAB_CONNECTIONS"); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	d := newDirectors(t, "")
	if err := d.client.Do(func() error { return fill(n) }); err != nil {
		t.Fatal(err)
	}
	lab.Wait(t, time.Minute, "connections", func() error { return has(t, d.one, n) })
	began := time.Now()
	if err := has(t, d.one, n); err != nil {
		t.Fatal(err)
	}
	reading := time.Since(began)
	d.two.Script(t, fmt.Sprintf(startDaemons, ""))
	report := send(t, d.one, sender(t.TempDir()))
	lab.Wait(t, 5*time.Second, "the last connections", func() error { return has(t, d.two, n) })
	t.Logf("%d connections: the kernel shows them in %s; sent once in %s, %.0f in a second", n, reading, report.Took, float64(report.Sent)/report.Took.Seconds())
}

// has returns an error if a director has fewer than n connections.
func has(t *testing.T, h *lab.Host, n int) error {
	t.Helper()
	count := 0
	err := h.Do(func() error {
		_, err := resync.Table{}.Connections(t.Context(), func(connection.Connection, bool) error { count++; return nil })
		return err
	})
	if err == nil && count < n {
		err = fmt.Errorf("%d of %d connections", count, n)
	}
	return err
}

// fill creates n connections: it sends datagrams with invented connections to the group of the
// synchronisation daemons.
func fill(n int) error {
	conn, err := net.ListenPacket("udp4", "")
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	nic, err := net.InterfaceByName("eth0")
	if err != nil {
		return err
	}
	if err := ipv4.NewPacketConn(conn).SetMulticastInterface(nic); err != nil {
		return err
	}
	c := connection.Connection{Protocol: 6, State: "ESTABLISHED", Real: netip.MustParseAddrPort("192.0.2.21:7000"), Virtual: netip.MustParseAddrPort(lab.VIP + ":7000")}
	message, sent := connection.NewMessage(7, 1472), 0
	for i := range n {
		var client [4]byte
		binary.BigEndian.PutUint32(client[:], 0xc6336400+uint32(i/60000)) // 198.51.100.0
		c.Client = netip.AddrPortFrom(netip.AddrFrom4(client), uint16(1024+i%60000))
		if !message.Add(c, 0, 15*time.Minute) || i == n-1 {
			if _, err := conn.WriteTo(message.Bytes(), &net.UDPAddr{IP: net.IPv4(224, 0, 0, 81), Port: 8848}); err != nil {
				return err
			}
			message.Reset()
			message.Add(c, 0, 15*time.Minute)
			if sent++; sent%10 == 0 {
				<-time.After(10 * time.Millisecond)
			}
		}
	}
	return nil
}

package resync

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"

	"lvs-agents/internal/connection"
	"lvs-agents/internal/lvs"
)

// TestBatchSendsEveryConnectionOnce checks the lengths of datagrams and the number of connections
// in them, with IPv4 and IPv6 connections mixed.
func TestBatchSendsEveryConnectionOnce(t *testing.T) {
	const limit, n = 1472, 1000
	sent := 0
	b := batch{message: connection.NewMessage(7, limit), services: connection.NewServices(nil), send: func(datagram []byte) error {
		if len(datagram) > limit {
			t.Errorf("a datagram of %d bytes", len(datagram))
		}
		sent += int(datagram[4])
		return nil
	}}
	for i := range n {
		if err := b.add(some(i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.flush(); err != nil || sent != n {
		t.Errorf("%d connections, %v", sent, err)
	}
	if err := b.flush(); err != nil || sent != n {
		t.Errorf("%d connections after a second flush, %v", sent, err)
	}
}

func TestBatchErrors(t *testing.T) {
	failed := errors.New("no route")
	b := batch{message: connection.NewMessage(7, 60), services: connection.NewServices(nil), send: func([]byte) error { return failed }}
	if err := b.add(some(1)); err == nil || !strings.Contains(err.Error(), "give a larger maxlen") {
		t.Errorf("an IPv6 connection in 60 bytes: %v", err)
	}
	if err := b.add(some(0)); err != nil {
		t.Error(err)
	}
	if err := b.add(some(2)); !errors.Is(err, failed) {
		t.Errorf("of send: %v", err)
	}
}

// some returns an IPv4 connection for an even number, and an IPv6 connection for an odd one.
func some(i int) connection.Connection {
	c := connection.Connection{Protocol: 6, State: "ESTABLISHED", Expires: time.Minute, Client: netip.MustParseAddrPort("192.0.2.100:1024"),
		Virtual: netip.MustParseAddrPort("192.0.2.10:80"), Real: netip.MustParseAddrPort("192.0.2.21:80")}
	if i%2 == 1 {
		c.Client, c.Virtual, c.Real = netip.MustParseAddrPort("[2001:db8::100]:1024"), netip.MustParseAddrPort("[2001:db8::10]:80"), netip.MustParseAddrPort("[2001:db8::21]:80")
	}
	return c
}

// noMaster has only a backup daemon.
type noMaster struct{}

func (noMaster) Table(context.Context) (lvs.Table, error) { return nil, nil }
func (noMaster) SyncDaemons(context.Context) ([]lvs.SyncDaemon, error) {
	return []lvs.SyncDaemon{{Role: lvs.SyncBackup, Interface: "lo"}}, nil
}

func TestSendNeedsAMaster(t *testing.T) {
	_, err := Sender{IPVS: noMaster{}, StateDir: t.TempDir()}.Send(t.Context())
	if !errors.Is(err, ErrStopped) {
		t.Errorf("%v", err)
	}
}

func TestReaderEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	r := reader{ctx, strings.NewReader("text")}
	if _, err := r.Read(make([]byte, 2)); err != nil {
		t.Error(err)
	}
	cancel()
	if _, err := io.ReadAll(r); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestDialOfAMissingInterface(t *testing.T) {
	_, err := dial(lvs.SyncDaemon{Role: lvs.SyncMaster, Interface: "none0"}.Complete())
	if want := "interface none0 of the master synchronisation daemon is gone; create it, then restart the daemon"; err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

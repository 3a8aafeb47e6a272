package check

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"time"
)

// TestQuestionIsSentAgain checks that a check succeeds if the network loses a query, or if the
// server replies slowly.
func TestQuestionIsSentAgain(t *testing.T) {
	const limit = 900 * time.Millisecond
	tests := []struct {
		name string
		// answer returns the time until the reply to query n, and whether there is a reply.
		answer func(n int) (after time.Duration, ever bool)
	}{
		{"the first is lost", func(n int) (time.Duration, bool) { return 0, n > 0 }},
		{"two are lost", func(n int) (time.Duration, bool) { return 0, n > 1 }},
		{"slow", func(n int) (time.Duration, bool) { return limit / 2, n == 0 }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			socket, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = socket.Close() }()
			go func() {
				question := make([]byte, 100)
				for n := 0; ; n++ {
					size, from, err := socket.ReadFromUDPAddrPort(question)
					if err != nil {
						return
					}
					if after, ever := tt.answer(n); ever {
						time.AfterFunc(after, func() { _, _ = socket.WriteToUDPAddrPort(question[:size], from) })
					}
				}
			}()
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			addr := netip.MustParseAddrPort(socket.LocalAddr().String())
			check := negotiation(t, "simpletcp", Target{Addr: addr, UDP: true, Request: "hello", Receive: perls(t, "hello")})
			if err := check.Check(ctx); err != nil {
				t.Error(err)
			}
		})
	}
}

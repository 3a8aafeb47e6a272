package health

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"lvs-agents/internal/check"
	"lvs-agents/internal/config"
)

// BenchmarkLateness checks 300 web servers once a second for 60 seconds. 30 % of the servers accept
// the connection, but send nothing during the check's time limit of 2 seconds. The benchmark
// reports how late the checks started. `make bench` runs it.
func BenchmarkLateness(b *testing.B) {
	const targets, silent, span = 300, 90, 60 * time.Second
	for b.Loop() {
		results := make(chan result, 64)
		w := newWheel(results)
		began := w.began
		var mu sync.Mutex
		var late []time.Duration
		var all []target
		for n := range targets {
			addr := webServer(b, n, n < silent)
			p := Probe{Check: config.Check{Type: config.Negotiate, Application: "http", Request: "/", Interval: time.Second, Timeout: 2 * time.Second}, Addr: addr}
			asked, err := Checkers(Tools{Source: check.NewSources()})(p)
			if err != nil {
				b.Fatal(err)
			}
			due := time.Duration(turnOf(p, inSlots(p.Interval))) * slot
			first := true
			all = append(all, target{p, checkFunc(func(ctx context.Context) error {
				behind := (time.Since(began) - due) % p.Interval
				mu.Lock()
				if !first { // The start time of the first check is not fixed.
					late = append(late, behind)
				}
				first = false
				mu.Unlock()
				return asked.Check(ctx)
			})})
		}
		ctx, cancel := context.WithTimeout(b.Context(), span)
		ended := background(func() { w.run(ctx) })
		w.changes <- all
		for open := true; open; {
			select {
			case <-results:
			case <-ended:
				open = false
			}
		}
		cancel()
		slices.Sort(late)
		ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
		b.ReportMetric(float64(len(late)), "checks")
		b.ReportMetric(ms(late[len(late)/2]), "p50-ms-late")
		b.ReportMetric(ms(late[len(late)*99/100]), "p99-ms-late")
		b.ReportMetric(ms(late[len(late)-1]), "max-ms-late")
		b.ReportMetric(0, "ns/op") // The benchmark always takes the same time, so ns/op is hidden.
	}
}

// webServer starts a web server on a separate address. A silent server accepts connections, but
// never replies.
func webServer(b *testing.B, n int, silent bool) netip.AddrPort {
	b.Helper()
	listener, err := net.Listen("tcp", fmt.Sprintf("127.9.%d.%d:0", n/250, n%250+1))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				if silent {
					_, _ = io.Copy(io.Discard, c)
					return
				}
				if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
					// A write error is normal: the client may have closed the connection.
					_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nOK\n")
				}
			}()
		}
	}()
	return netip.MustParseAddrPort(listener.Addr().String())
}

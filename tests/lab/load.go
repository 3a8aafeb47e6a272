package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// SorryPage is the text of the page that Host.ServeSorry serves.
const SorryPage = "sorry"

// Tally counts the results of the clients' requests.
type Tally struct {
	Served, Sorry, Refused, Reset, TimedOut int
	// Other lists the pages and errors that belong to no counter above.
	Other []string
	// Gap is the longest time during which no client got a page from a real server. GapFrom is when
	// this time began.
	Gap     time.Duration
	GapFrom time.Time
}

// String returns the counts and the longest gap as one line for the log of the test.
func (t Tally) String() string {
	return fmt.Sprintf("%d served, %d sorry pages, %d refused, %d reset, %d timed out, %d other, longest gap %v",
		t.Served, t.Sorry, t.Refused, t.Reset, t.TimedOut, len(t.Other), t.Gap.Round(time.Millisecond))
}

// Load is a group of clients. Each client requests pages in a loop, over a new connection each
// time.
type Load struct {
	stop    chan struct{}
	workers sync.WaitGroup
	timeout time.Duration

	mu     sync.Mutex
	tally  Tally
	served time.Time // time when a client last got a page from a real server
	errs   []error
}

// Load starts clients on the host that request pages from an address and port. Each client pauses
// between two requests and has a time limit for each request.
func (h *Host) Load(tb testing.TB, clients int, target string, timeout time.Duration) *Load {
	tb.Helper()
	l := &Load{stop: make(chan struct{}), timeout: timeout, served: time.Now()}
	for range clients {
		l.workers.Go(func() {
			if err := h.Do(func() error { l.work(target); return nil }); err != nil {
				l.mu.Lock()
				defer l.mu.Unlock()
				l.errs = append(l.errs, err)
			}
		})
	}
	tb.Cleanup(func() { l.end() })
	return l
}

// Stop ends the clients and returns their results.
func (l *Load) Stop(tb testing.TB) Tally {
	tb.Helper()
	l.end()
	l.gap(time.Now())
	if err := errors.Join(l.errs...); err != nil {
		tb.Fatalf("load: %v", err)
	}
	return l.tally
}

// Serving returns nil if a client has received a page from a real server in the last 300 ms,
// otherwise an error.
func (l *Load) Serving() error {
	const fresh = 300 * time.Millisecond
	l.mu.Lock()
	defer l.mu.Unlock()
	if since := time.Since(l.served); since > fresh || l.tally.Served == 0 {
		return fmt.Errorf("no page for %v: %v %q", since, l.tally, l.tally.Other)
	}
	return nil
}

func (l *Load) end() {
	select {
	case <-l.stop:
	default:
		close(l.stop)
	}
	l.workers.Wait()
}

func (l *Load) work(target string) {
	const pause = 20 * time.Millisecond
	for {
		select {
		case <-l.stop:
			return
		case <-time.After(pause):
		}
		page, err := get(target, l.timeout)
		l.count(page, err)
	}
}

// get requests a page with HTTP. It does not use http.Client, because http.Client dials in another
// goroutine, which can run in another network namespace.
func get(target string, timeout time.Duration) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", target)
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close() }()
	deadline, _ := ctx.Deadline()
	_ = conn.SetDeadline(deadline) // SetDeadline does not fail on an open connection
	if _, err := io.WriteString(conn, "GET / HTTP/1.0\r\n\r\n"); err != nil {
		return "", err
	}
	text, err := io.ReadAll(conn)
	if err != nil {
		return "", err
	}
	_, page, _ := strings.Cut(string(text), "\r\n\r\n")
	return strings.TrimSpace(page), nil
}

func (l *Load) count(page string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := &l.tally
	switch {
	case err == nil && strings.HasPrefix(page, "rs"):
		t.Served++
		l.gap(time.Now())
	case err == nil && page == SorryPage:
		t.Sorry++
	case errors.Is(err, syscall.ECONNREFUSED):
		t.Refused++
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		t.Reset++
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		t.TimedOut++
	default:
		t.Other = append(t.Other, fmt.Sprintf("%q %v", page, err))
	}
}

func (l *Load) gap(now time.Time) {
	if gap := now.Sub(l.served); gap > l.tally.Gap {
		l.tally.Gap, l.tally.GapFrom = gap, l.served
	}
	l.served = now
}

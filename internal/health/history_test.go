package health

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"lvs-agents/internal/check"
)

func TestHistoryHasTheNewestChecks(t *testing.T) {
	var h history
	if got := h.newest(3); len(got) != 0 {
		t.Errorf("empty: %v", got)
	}
	for n := range 2*kept + 2 {
		h.add(result{err: errors.New(fmt.Sprint(n)), at: time.Unix(int64(n), 0)})
		var got []string
		for _, c := range h.newest(3) {
			got = append(got, c.reason)
		}
		var want []string
		for i := range min(3, n+1) {
			want = append(want, fmt.Sprint(n-i))
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("after %d: got %v, want %v", n, got, want)
		}
	}
	if len(h.checks) != kept {
		t.Errorf("%d checks", len(h.checks))
	}
}

// TestHistoryOfManyServersIsSmall measures the memory of the histories of ten thousand probes: with
// a reason that repeats, and with the longest reasons and replies, all different.
func TestHistoryOfManyServersIsSmall(t *testing.T) {
	const probes, mebibyte = 10_000, 1 << 20
	for _, tt := range []struct {
		name  string
		limit uint64 // limit is in MiB.
		text  func(probe, n int) string
	}{
		{"equal reasons", 8, func(probe, _ int) string { return fmt.Sprintf("connect to 10.0.0.%d:80: connection refused", probe) }},
		{"long reasons", 30, func(probe, n int) string { return fmt.Sprintf("%d %d %s", probe, n, strings.Repeat("x", 300)) }},
	} {
		histories := make([]history, probes)
		before := heap()
		for i := range histories {
			for n := range 2 * kept {
				text := tt.text(i, n)
				histories[i].add(result{err: errors.New(text), at: time.Now(), trace: check.Trace{Reply: strings.Clone(text[:min(len(text), 80)])}})
			}
		}
		used := (heap() - before) / mebibyte
		t.Logf("%s: %d MiB", tt.name, used)
		if used > tt.limit {
			t.Errorf("%s: %d MiB, want at most %d", tt.name, used, tt.limit)
		}
		runtime.KeepAlive(histories)
	}
}

// heap returns the number of bytes in use after a collection.
func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

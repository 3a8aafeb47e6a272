package metrics

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/procfs"

	"lvs-agents/internal/control"
)

// daemon returns the snapshot of a daemon that has one service with n real servers. The first one
// is bad.
func daemon(n int) control.Snapshot {
	now := time.Unix(1700000000, 0)
	service := control.Service{ID: "-t 192.0.2.10:80", Scheduler: "wrr", Fallback: &control.Real{Addr: "127.0.0.1:80", Weight: -1}}
	for i := range n {
		r := control.Real{Addr: fmt.Sprintf("10.%d.%d.1:80", i/250, i%250), Weight: 2, Configured: 2, Verdict: "good", Since: now}
		if i == 0 {
			r.Weight, r.Verdict, r.Reason = 0, "bad", "<b>\x1b[2J\"\n"
		}
		service.Reals = append(service.Reals, r)
	}
	return control.Snapshot{ID: "web", Version: "1.0", Config: "/etc/ha.d/\"web\\\n.cf", Started: now, Now: now.Add(time.Minute), Limit: 10, Services: []control.Service{service}}
}

// proc returns a directory with the files of IPVS in the form of Linux 6.1. The table has n
// destinations.
func proc(tb testing.TB, n int) string {
	tb.Helper()
	dir := tb.TempDir()
	files := map[string]string{
		"ip_vs_stats": "   Total Incoming Outgoing         Incoming         Outgoing\n   Conns  Packets  Packets            Bytes            Bytes\n       A       14        0              FFF                0\n\n Conns/s   Pkts/s   Pkts/s          Bytes/s          Bytes/s\n       0        0        0                0                0\n",
		"ip_vs": "IP Virtual Server version 1.2.1 (size=4096)\nProt LocalAddress:Port Scheduler Flags\n  -> RemoteAddress:Port Forward Weight ActiveConn InActConn\nTCP  C000020A:0050 wrr\n" +
			strings.Repeat("  -> 0A000001:0050      Route   2      7          3\n", n),
	}
	for name, text := range files {
		if err := os.MkdirAll(filepath.Join(dir, "net"), 0o755); err != nil {
			tb.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "net", name), []byte(text), 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	return dir
}

// onlyStatus is a daemon that replies only to requests for the status.
type onlyStatus struct {
	control.Daemon
	snapshot control.Snapshot
}

func (s onlyStatus) Snapshot(context.Context) (control.Snapshot, error) { return s.snapshot, nil }

// source returns a source with the control sockets of two daemons. The daemon web has n real
// servers. The daemon dead was killed, and has left its socket.
func source(tb testing.TB, n int) Source {
	tb.Helper()
	dir, err := os.MkdirTemp("", "lvs") // The path of a socket has at most 107 bytes.
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	dead, err := control.Listen(dir, "dead")
	if err != nil {
		tb.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	if err := dead.Close(); err != nil {
		tb.Fatal(err)
	}
	web, err := control.Listen(dir, "web")
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- control.Serve(ctx, web, onlyStatus{snapshot: daemon(n)}, new(control.Feed)) }()
	tb.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			tb.Error(err)
		}
	})
	const limit = 10 * time.Second // for a busy host
	return Source{
		States:    func(ctx context.Context) ([]control.State, error) { return control.States(ctx, dir, limit) },
		Summaries: func(ctx context.Context) ([]control.State, error) { return control.Summaries(ctx, dir, limit) },
		Proc:      proc(tb, n),
	}
}

// scrape returns the metrics as Prometheus parses them.
func scrape(t *testing.T, s Source, path string) map[string]*dto.MetricFamily {
	t.Helper()
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
	text, err := io.ReadAll(w.Result().Body)
	if err != nil || w.Code != http.StatusOK {
		t.Fatalf("status %d, %v: %s", w.Code, err, text)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(string(text)))
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return families
}

func series(families map[string]*dto.MetricFamily) int {
	n := 0
	for _, f := range families {
		n += len(f.GetMetric())
	}
	return n
}

// value returns the value of the first metric that has all given labels.
func value(t *testing.T, families map[string]*dto.MetricFamily, name string, labels map[string]string) float64 {
	t.Helper()
	for _, m := range families[name].GetMetric() {
		found := 0
		for _, l := range m.GetLabel() {
			if want, named := labels[l.GetName()]; named && want == l.GetValue() {
				found++
			}
		}
		if found == len(labels) {
			return m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	t.Errorf("no %s%v", name, labels)
	return -1
}

func TestValues(t *testing.T) {
	families := scrape(t, source(t, 10), "/metrics?servers=1")
	for _, tt := range []struct {
		name   string
		labels map[string]string
		want   float64
	}{
		{"lvs_directord_up", map[string]string{"daemon": "web"}, 1},
		{"lvs_directord_up", map[string]string{"daemon": "dead"}, 0},
		{"lvs_directord_info", map[string]string{"config": "/etc/ha.d/\"web\\\n.cf"}, 1},
		{"lvs_service_real_servers", map[string]string{"verdict": "good"}, 9},
		{"lvs_service_real_servers", map[string]string{"verdict": "bad"}, 1},
		{"lvs_service_real_servers", map[string]string{"verdict": "unknown"}, 0},
		{"lvs_service_serving_real_servers", nil, 9},
		{"lvs_service_weight", nil, 18},
		{"lvs_service_configured_weight", nil, 20},
		{"lvs_service_fallback_active", nil, 0},
		{"lvs_server_up", map[string]string{"server": "10.0.0.1:80"}, 0},
		{"lvs_server_weight", map[string]string{"server": "10.0.1.1:80"}, 2},
		{"lvs_server_verdict_start_time_seconds", map[string]string{"server": "10.0.1.1:80"}, 1700000000},
		{"node_ipvs_connections_total", nil, 10},
		{"node_ipvs_incoming_bytes_total", nil, 4095},
		{"node_ipvs_backend_connections_active", map[string]string{"local_address": "192.0.2.10", "local_port": "80", "remote_address": "10.0.0.1"}, 7},
	} {
		if got := value(t, families, tt.name, tt.labels); got != tt.want {
			t.Errorf("%s%v: %v, want %v", tt.name, tt.labels, got, tt.want)
		}
	}
}

// TestSeries checks that the number of series does not depend on the number of real servers unless
// the client wants metrics of each real server.
func TestSeries(t *testing.T) {
	few, many := series(scrape(t, source(t, 10), "/metrics")), series(scrape(t, source(t, 10000), "/metrics"))
	if few != many || few > 30 {
		t.Errorf("%d series with 10 real servers, %d with 10,000", few, many)
	}
	if got := series(scrape(t, source(t, 10000), "/metrics?servers=1")); got < 70000 || got > 70100 {
		t.Errorf("%d series with each of 10,000 real servers", got)
	}
}

// TestBothRequestsCountTheSame checks that a scrape without real servers has the same values as one
// with all real servers. The daemon counts for the first, and this process for the second.
func TestBothRequestsCountTheSame(t *testing.T) {
	s := source(t, 10)
	without, with := scrape(t, s, "/metrics"), scrape(t, s, "/metrics?servers=1")
	for name := range with {
		if strings.HasPrefix(name, "lvs_server_") || strings.HasPrefix(name, "node_ipvs_backend_") {
			delete(with, name)
		}
	}
	if diff := cmp.Diff(texts(with), texts(without)); diff != "" || series(without) == 0 {
		t.Errorf("-with +without:\n%s", diff)
	}
}

// texts returns the sorted series of each family.
func texts(families map[string]*dto.MetricFamily) map[string][]string {
	all := map[string][]string{}
	for name, f := range families {
		for _, m := range f.GetMetric() {
			all[name] = append(all[name], m.String())
		}
		slices.Sort(all[name])
	}
	return all
}

func TestEveryMetricHasADescription(t *testing.T) {
	named := map[string]bool{}
	for _, f := range Families(State{
		Daemons: []control.State{{ID: "web", Snapshot: daemon(2)}}, Servers: true, Counters: &procfs.IPVSStats{},
		Backends: []procfs.IPVSBackendStatus{{LocalMark: "7", RemoteAddress: net.IPv4(10, 0, 0, 1)}},
	}) {
		named[f.GetName()] = true
		if helps[f.GetName()] == "" {
			t.Errorf("%s has no description", f.GetName())
		}
	}
	for name := range helps {
		if !named[name] {
			t.Errorf("no metric %s", name)
		}
	}
}

func TestKernelWithoutIPVS(t *testing.T) {
	s := source(t, 1)
	s.Proc = t.TempDir()
	if got := scrape(t, s, "/metrics?servers=1"); got["node_ipvs_connections_total"] != nil || got["lvs_directord_up"] == nil {
		t.Errorf("%v", got)
	}
}

// BenchmarkScrape measures scrapes of a daemon with ten thousand real servers: the daemon's reply
// over its socket, the tables of the kernel, and the compressed text.
func BenchmarkScrape(b *testing.B) {
	s := source(b, 10000)
	for _, path := range []string{"/metrics", "/metrics?servers=1"} {
		b.Run(path, func(b *testing.B) {
			for b.Loop() {
				r := httptest.NewRequestWithContext(b.Context(), http.MethodGet, path, nil)
				r.Header.Set("Accept-Encoding", "gzip")
				w := httptest.NewRecorder()
				if s.Handler().ServeHTTP(w, r); w.Code != http.StatusOK {
					b.Fatal(w.Code)
				}
			}
		})
	}
}

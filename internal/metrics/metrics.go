// Package metrics builds Prometheus metrics from the state of the health daemons and from the
// counters of IPVS. docs/monitoring.md lists the metrics.
package metrics

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/procfs"

	"lvs-agents/internal/control"
)

// State is what the metrics show.
type State struct {
	Daemons []control.State
	// Counters are the sums of all services in the kernel, or nil if the kernel does not have IPVS.
	Counters *procfs.IPVSStats
	// Backends are the destinations in the kernel with their connections. They are empty if the
	// caller does not want metrics of each real server.
	Backends []procfs.IPVSBackendStatus
	// Servers reports whether the caller wants metrics of each real server.
	Servers bool
}

// Families returns the metrics in the order of their names. Each metric of a daemon has the label
// daemon, so two daemons never have the same series.
func Families(s State) []*dto.MetricFamily {
	b := &builder{families: map[string]*dto.MetricFamily{}}
	for _, d := range s.Daemons {
		b.daemon(d)
		for _, service := range d.Snapshot.Services {
			b.service(d, service, s.Servers)
		}
	}
	if s.Counters != nil {
		b.counters(*s.Counters)
	}
	for _, each := range s.Backends {
		b.backend(each)
	}
	return b.sorted()
}

func (b *builder) daemon(d control.State) {
	id := label("daemon", d.ID)
	b.gauge("lvs_directord_up", one(d.Err == nil && d.Snapshot.Alive() == nil), id)
	if d.Err != nil {
		return
	}
	s := d.Snapshot
	b.gauge("lvs_directord_info", 1, id, label("version", s.Version), label("config", s.Config))
	b.gauge("lvs_directord_start_time_seconds", seconds(s.Started), id)
	b.gauge("lvs_directord_reconcile_age_seconds", s.LoopAge, id)
	b.gauge("lvs_directord_check_age_seconds", s.WheelAge, id)
	b.gauge("lvs_directord_age_limit_seconds", s.Limit, id)
	b.gauge("lvs_directord_trouble", one(s.Trouble != ""), id)
}

// service adds the metrics of a service. The number of its series does not depend on the number of
// real servers, unless servers is set.
func (b *builder) service(d control.State, s control.Service, servers bool) {
	labels := []*dto.LabelPair{label("daemon", d.ID), label("service", s.ID)}
	if servers {
		for _, r := range s.Reals {
			b.server(append(slices.Clone(labels), label("server", r.Addr)), r)
		}
	}
	counts := s.Count()
	for verdict, n := range map[string]int{"good": counts.Good, "bad": counts.Bad, "unknown": counts.Unknown} {
		b.gauge("lvs_service_real_servers", float64(n), append(slices.Clone(labels), label("verdict", verdict))...)
	}
	b.gauge("lvs_service_serving_real_servers", float64(counts.Serving), labels...)
	b.gauge("lvs_service_weight", float64(counts.Weight), labels...)
	b.gauge("lvs_service_configured_weight", float64(counts.Configured), labels...)
	b.gauge("lvs_service_fallback_active", one(s.Fallback != nil && s.Fallback.Weight > 0), labels...)
	b.gauge("lvs_service_trouble", one(s.Trouble != ""), labels...)
}

func (b *builder) server(labels []*dto.LabelPair, r control.Real) {
	if r.Verdict != "unknown" {
		b.gauge("lvs_server_up", one(r.Verdict == "good"), labels...)
	}
	b.gauge("lvs_server_weight", float64(r.Weight), labels...)
	b.gauge("lvs_server_configured_weight", float64(r.Configured), labels...)
	if !r.Since.IsZero() {
		b.gauge("lvs_server_verdict_start_time_seconds", seconds(r.Since), labels...)
	}
}

func (b *builder) counters(s procfs.IPVSStats) {
	b.counter("node_ipvs_connections_total", s.Connections)
	b.counter("node_ipvs_incoming_packets_total", s.IncomingPackets)
	b.counter("node_ipvs_outgoing_packets_total", s.OutgoingPackets)
	b.counter("node_ipvs_incoming_bytes_total", s.IncomingBytes)
	b.counter("node_ipvs_outgoing_bytes_total", s.OutgoingBytes)
}

// backend has the labels of node_exporter, so queries and dashboards for node_exporter work.
func (b *builder) backend(s procfs.IPVSBackendStatus) {
	local := ""
	if s.LocalMark == "" {
		local = s.LocalAddress.String()
	}
	labels := []*dto.LabelPair{
		label("local_address", local), label("local_mark", s.LocalMark), label("local_port", strconv.Itoa(int(s.LocalPort))),
		label("proto", s.Proto), label("remote_address", s.RemoteAddress.String()), label("remote_port", strconv.Itoa(int(s.RemotePort))),
	}
	b.gauge("node_ipvs_backend_connections_active", float64(s.ActiveConn), labels...)
	b.gauge("node_ipvs_backend_connections_inactive", float64(s.InactConn), labels...)
	b.gauge("node_ipvs_backend_weight", float64(s.Weight), labels...)
}

// builder collects metrics by the names of their families.
type builder struct{ families map[string]*dto.MetricFamily }

func (b *builder) gauge(name string, value float64, labels ...*dto.LabelPair) {
	b.add(name, dto.MetricType_GAUGE, &dto.Metric{Label: labels, Gauge: &dto.Gauge{Value: &value}})
}

func (b *builder) counter(name string, value uint64) {
	v := float64(value)
	b.add(name, dto.MetricType_COUNTER, &dto.Metric{Counter: &dto.Counter{Value: &v}})
}

func (b *builder) add(name string, kind dto.MetricType, m *dto.Metric) {
	f := b.families[name]
	if f == nil {
		help := helps[name]
		f = &dto.MetricFamily{Name: &name, Help: &help, Type: &kind}
		b.families[name] = f
	}
	slices.SortFunc(m.Label, func(x, y *dto.LabelPair) int { return cmp.Compare(x.GetName(), y.GetName()) })
	f.Metric = append(f.Metric, m)
}

func (b *builder) sorted() []*dto.MetricFamily {
	families := make([]*dto.MetricFamily, 0, len(b.families))
	for _, f := range b.families {
		families = append(families, f)
	}
	slices.SortFunc(families, func(x, y *dto.MetricFamily) int { return cmp.Compare(x.GetName(), y.GetName()) })
	return families
}

func label(name, value string) *dto.LabelPair {
	return &dto.LabelPair{Name: &name, Value: &value}
}

func one(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

func seconds(t time.Time) float64 { return float64(t.UnixNano()) / 1e9 }

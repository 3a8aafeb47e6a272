package sync

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sirupsen/logrus"

	"lvs-agents/internal/attribute"
	"lvs-agents/internal/connection"
	"lvs-agents/internal/lvs"
	"lvs-agents/ocf"
)

// work is a fake Work. It records the processes that the agent starts.
type work struct {
	started []string
	err     error
}

func (w *work) Resync(context.Context) error {
	w.started = append(w.started, "resync")
	return w.err
}

func (w *work) Measure(_ context.Context, id string) error {
	w.started = append(w.started, "measure "+id)
	return w.err
}

// attributes are the attributes of a fake cluster. The field node is the name of the node that sets
// an attribute.
type attributes struct {
	node string
	// values has the values by the name of the attribute, and then by the name of the node.
	values map[string]map[string]string
	err    error
}

func (a *attributes) Set(_ context.Context, name, value string, _ time.Duration) error {
	if a.err != nil {
		return a.err
	}
	if a.values[name] == nil {
		a.values[name] = map[string]string{}
	}
	a.values[name][a.node] = value
	return nil
}

func (a *attributes) SetPrivate(ctx context.Context, name, value string) error {
	return a.Set(ctx, name, value, 0)
}

func (a *attributes) Remove(_ context.Context, name string) error {
	delete(a.values[name], a.node)
	return a.err
}

func (a *attributes) All(_ context.Context, name string) (map[string]string, error) {
	return a.values[name], a.err
}

// member is a node of a fake cluster, and the connections that the node has.
type member struct {
	Measurement
	table   []connection.Connection
	later   []connection.Connection // later has the connections that arrive between the two reads of the table.
	serves  bool
	resyncs int
	reads   int
}

// newMember returns a node. All nodes share the values of one attributes.
func newMember(t *testing.T, name string, shared *attributes) *member {
	m := &member{}
	kernel := fakeKernel()
	for _, role := range []lvs.SyncRole{lvs.SyncMaster, lvs.SyncBackup} {
		if err := kernel.StartSync(t.Context(), lvs.SyncDaemon{Role: role, Interface: "eth1", ID: 7}); err != nil {
			t.Fatal(err)
		}
	}
	m.Measurement = Measurement{
		ID: "sync", Node: name, StateDir: t.TempDir(), Kernel: kernel, Log: quiet(),
		Attributes: &attributes{node: name, values: shared.values},
		Connections: func(_ context.Context, each func(connection.Connection, bool) error) (int, error) {
			m.reads++
			for _, c := range m.table {
				if err := each(c, m.serves); err != nil {
					return 0, err
				}
			}
			m.table = append(m.table, m.later...)
			return 0, nil
		},
		Resync: func(context.Context) error { m.resyncs++; return nil },
	}
	return m
}

func some(n int) []connection.Connection {
	all := make([]connection.Connection, n)
	for i := range all {
		all[i] = connection.Connection{
			Protocol: 6, State: "ESTABLISHED", Expires: time.Hour,
			Client:  netip.AddrPortFrom(netip.MustParseAddr("192.0.2.100"), uint16(1024+i)),
			Virtual: netip.MustParseAddrPort("192.0.2.10:80"), Real: netip.MustParseAddrPort("192.0.2.21:80"),
		}
	}
	return all
}

func (m *member) run(t *testing.T) {
	t.Helper()
	if err := m.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestReturningNodeIsCovered checks the measurements after a node returns to the cluster. At first
// the returning node has no connections. The serving node then sends its connections, and the
// returning node has all of them.
func TestReturningNodeIsCovered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := &attributes{values: map[string]map[string]string{}}
		one, two := newMember(t, "director1", shared), newMember(t, "director2", shared)
		one.serves, one.table = true, some(500)
		check := func(want1, want2 string, resyncs int) {
			t.Helper()
			got := shared.values["lvs-sync-sync"]
			if got["director1"] != want1 || got["director2"] != want2 || one.resyncs != resyncs || two.resyncs > 0 {
				t.Errorf("shares %v, %d and %d resyncs", got, one.resyncs, two.resyncs)
			}
		}
		one.run(t)
		check("100", "", 0)
		two.run(t)
		check("100", "0", 0)
		one.forget(t)
		one.run(t)
		check("100", "0", 1)
		two.table = slices.Clone(one.table)
		two.forget(t)
		two.run(t)
		check("100", "100", 1)
		one.forget(t)
		one.run(t)
		check("100", "100", 1)
		if sketch := shared.values["lvs-connections-sync"]["director1"]; !strings.HasPrefix(sketch, "1:500:") {
			t.Errorf("sketch %q", sketch)
		}
	})
}

// forget removes the time of the last measurement, so that the next measurement starts at once.
func (m *member) forget(t *testing.T) {
	t.Helper()
	m.StateDir = t.TempDir()
}

// TestConnectionsThatArriveLateAreNotMissing checks that a measurement waits for the datagrams of
// new connections.
func TestConnectionsThatArriveLateAreNotMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := &attributes{values: map[string]map[string]string{}}
		one, two := newMember(t, "director1", shared), newMember(t, "director2", shared)
		one.serves, one.table = true, some(100)
		two.table, two.later = some(90), one.table[90:]
		one.run(t)
		began := time.Now()
		two.run(t)
		if got := shared.values["lvs-sync-sync"]["director2"]; got != "100" || time.Since(began) != young || two.reads != 2 {
			t.Errorf("share %s after %s and %d readings", got, time.Since(began), two.reads)
		}
	})
}

// TestTableIsNotReadTooOften checks that a second measurement does not read the connection table
// before the pause has ended.
func TestTableIsNotReadTooOften(t *testing.T) {
	m := newMember(t, "director1", &attributes{values: map[string]map[string]string{}})
	m.run(t)
	m.run(t)
	if m.reads != 1 {
		t.Errorf("%d readings", m.reads)
	}
	m.delay(0)
	m.run(t)
	if m.reads != 2 {
		t.Errorf("%d readings after the pause", m.reads)
	}
}

// TestSketchOfAnotherVersion checks that a measurement ignores a sketch of another version, and
// logs a warning. The node does not know its share, so it must not publish one.
func TestSketchOfAnotherVersion(t *testing.T) {
	shared := &attributes{values: map[string]map[string]string{
		"lvs-connections-sync": {"director2": "2:7:???"}, "lvs-sync-sync": {"director1": "100"},
	}}
	m := newMember(t, "director1", shared)
	log := &lines{FieldLogger: quiet()}
	m.Log = log
	m.run(t)
	want := "node attribute lvs-connections-sync of node director2 is ignored: not a sketch of this version; install the same version of lvs-agents on all nodes"
	if diff := cmp.Diff([]string{want}, log.warned); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := shared.values["lvs-sync-sync"]["director1"]; got != "" {
		t.Errorf("share %q", got)
	}
	if got := shared.values["lvs-connections-sync"]["director1"]; got != "1:0:" {
		t.Errorf("sketch %q", got)
	}
}

func TestPause(t *testing.T) {
	for _, tt := range []struct {
		reading time.Duration
		lacks   bool
		want    time.Duration
	}{
		{0, false, 8 * time.Second},
		{time.Second, false, 50 * time.Second},
		{12 * time.Second, false, time.Minute},
		{90 * time.Second, false, 90 * time.Second},
		{time.Second, true, 8 * time.Second},
		{12 * time.Second, true, 12 * time.Second},
	} {
		if got := pause(tt.reading, tt.lacks); got != tt.want {
			t.Errorf("%s, lacks %v: got %s, want %s", tt.reading, tt.lacks, got, tt.want)
		}
	}
}

// lines is a log that stores its warnings for the test.
type lines struct {
	logrus.FieldLogger
	warned []string
}

func (l *lines) Warnf(format string, args ...any) {
	l.warned = append(l.warned, fmt.Sprintf(format, args...))
}

// TestNothingIsPublishedAfterStop checks that a measurement publishes no node attributes if the
// daemons have been stopped.
func TestNothingIsPublishedAfterStop(t *testing.T) {
	shared := &attributes{values: map[string]map[string]string{}}
	m := newMember(t, "director1", shared)
	m.Kernel = fakeKernel() // A new fake kernel has no daemons.
	m.run(t)
	if len(shared.values) > 0 {
		t.Errorf("%v", shared.values)
	}
}

// TestOutsideOfACluster checks that a measurement outside of a cluster returns no error and does
// not read the connection table.
func TestOutsideOfACluster(t *testing.T) {
	m := newMember(t, "director1", &attributes{})
	m.Attributes = &attributes{err: fmt.Errorf("attrd_updater: %w", attribute.ErrNoCluster)}
	m.run(t)
	if m.reads > 0 {
		t.Error("the table was read")
	}
}

func TestMonitorMeasures(t *testing.T) {
	n := newNode(t)
	n.must(t, 0, "sync:0", "start", pair...)
	n.must(t, 0, "sync:0", "probe", pair...)
	if len(n.work.started) > 0 {
		t.Errorf("start and probe started %q", n.work.started)
	}
	n.must(t, 0, "sync:0", "monitor", pair...)
	if diff := cmp.Diff([]string{"measure sync"}, n.work.started); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	n.work.err = errors.New("no memory")
	if got := n.must(t, 0, "sync:0", "monitor", pair...); !strings.Contains(got.log, "the node attribute lvs-sync-sync keeps its value: no memory") {
		t.Errorf("log: %s", got.log)
	}
}

func TestStopRemovesTheAttributes(t *testing.T) {
	n := newNode(t)
	n.attributes.node = "director1"
	n.attributes.values = map[string]map[string]string{
		"lvs-sync-sync": {"director1": "100", "director2": "99"}, "lvs-connections-sync": {"director1": "1:0:"},
	}
	n.must(t, 0, "sync", "start", pair...)
	n.must(t, 0, "sync", "stop", pair...)
	want := map[string]map[string]string{"lvs-sync-sync": {"director2": "99"}, "lvs-connections-sync": {}}
	if diff := cmp.Diff(want, n.attributes.values); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	n.attributes.err = errors.New("attrd_updater: timed out")
	if got := n.must(t, 0, "sync", "stop", pair...); !strings.Contains(got.log, "removing the node attribute lvs-sync-sync: attrd_updater: timed out; remove it: attrd_updater -D -n lvs-sync-sync") {
		t.Errorf("log: %s", got.log)
	}
	n.attributes.err = fmt.Errorf("attrd_updater: %w", attribute.ErrNoCluster)
	if got := n.must(t, 0, "sync", "stop", pair...); strings.Contains(got.log, "attribute") {
		t.Errorf("log outside of a cluster: %s", got.log)
	}
}

func TestNotify(t *testing.T) {
	for _, tt := range []struct {
		name string
		n    ocf.Notification
		want []string
	}{
		{"a start on another node", ocf.Notification{Type: "post", Operation: "start", Node: "director1", Starting: []string{"director2"}, Active: []string{"director1"}}, []string{"resync"}},
		{"before it", ocf.Notification{Type: "pre", Operation: "start", Node: "director1", Starting: []string{"director2"}}, nil},
		{"the own start", ocf.Notification{Type: "post", Operation: "start", Node: "director2", Starting: []string{"director2"}}, nil},
		{"a stop", ocf.Notification{Type: "post", Operation: "stop", Node: "director1", Stopping: []string{"director2"}}, nil},
	} {
		w := &work{}
		err := New(nil, w, nil).Notify(t.Context(), ocf.Call{}, tt.n)
		if diff := cmp.Diff(tt.want, w.started); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", tt.name, err, diff)
		}
	}
}

package main

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"lvs-agents/crm"
	"lvs-agents/crm/cib"
)

// fakeCluster keeps a CIB in memory. Like Pacemaker, it refuses a change of another CIB.
type fakeCluster struct {
	cib *cib.CIB
	// foreign is a change by another program between reading and the next write. Nil means none.
	foreign func()
	// breaks: the node loses the cluster right after the cluster has made the next change.
	breaks, lost bool
	waits        func() // waits runs while a command waits for the cluster. Nil means nothing.
	invalid      error  // invalid is the result of validate-all.
	failures     string
}

func newFakeCluster(t *testing.T) *fakeCluster {
	t.Helper()
	c, err := cib.Parse(`<cib epoch="1" num_updates="0"><configuration><crm_config/><nodes/><resources/><constraints/></configuration><status/></cib>`)
	if err != nil {
		t.Fatal(err)
	}
	return &fakeCluster{cib: c}
}

func (f *fakeCluster) Read(context.Context) (*cib.CIB, error) {
	if f.lost {
		return nil, errors.New("connection lost")
	}
	return f.cib, nil
}
func (f *fakeCluster) Verify(context.Context, *cib.CIB) error { return nil }
func (f *fakeCluster) Simulate(context.Context, *cib.CIB) ([]string, error) {
	return []string{"Start web"}, nil
}
func (f *fakeCluster) Wait(context.Context) error {
	if f.waits != nil {
		f.waits()
	}
	return nil
}
func (f *fakeCluster) Failures(context.Context) (string, error)      { return f.failures, nil }
func (f *fakeCluster) Validate(context.Context, crm.Primitive) error { return f.invalid }
func (f *fakeCluster) Write(_ context.Context, from, to *cib.CIB) error {
	if f.foreign != nil {
		f.foreign()
		f.foreign = nil
	}
	if from.String() != f.cib.String() {
		return errors.New("Update was older than existing configuration")
	}
	f.cib, f.lost = to, f.breaks
	if f.lost {
		return errors.New("connection lost")
	}
	return nil
}

// operator runs commands of lvsctl on a node with a fake cluster.
type operator struct {
	t       *testing.T
	sys     system
	cluster *fakeCluster
	now     time.Time
	spawned []string
	out     strings.Builder
}

func newOperator(t *testing.T, weight string) *operator {
	t.Helper()
	o := &operator{t: t, cluster: newFakeCluster(t), now: time.Unix(1700000000, 0)}
	o.sys = system{
		host: "director1", stdout: &o.out, stderr: &o.out, dirs: []string{"."}, resolver: noNames{}, kernel: fakeKernel{}, cluster: o.cluster, dataDir: t.TempDir(),
		now:   func() time.Time { return o.now },
		spawn: func(_ context.Context, args ...string) error { o.spawned = args; return nil },
	}
	t.Chdir(t.TempDir())
	o.write(weight)
	return o
}

// write writes a configuration whose second real server has this weight.
func (o *operator) write(weight string) {
	o.t.Helper()
	text := "virtual=192.0.2.10:80\n\treal=192.0.2.21:80 gate\n\treal=192.0.2.22:80 gate " + weight + "\n\tchecktype=connect\n"
	if err := os.WriteFile("web.cf", []byte(text), 0o600); err != nil {
		o.t.Fatal(err)
	}
}

// run runs lvsctl and checks its exit code and that its output has each text.
func (o *operator) run(code int, args string, texts ...string) {
	o.t.Helper()
	o.out.Reset()
	got := run(o.t.Context(), strings.Fields(args), o.sys)
	for _, text := range texts {
		if got != code || !strings.Contains(o.out.String(), text) {
			o.t.Errorf("lvsctl %s: exit code %d, want %d and %q in\n%s", args, got, code, text, &o.out)
		}
	}
}

const applyWeb = "apply web.cf --inline --yes"

func TestApplyTwiceChangesNothing(t *testing.T) {
	o := newOperator(t, "1")
	o.run(0, applyWeb, "add resource ocf:lvs:vip lvs-vip: ip=192.0.2.10", "the cluster will: Start web", "done")
	after := o.cluster.cib.String()
	o.run(0, applyWeb, "no change")
	if o.cluster.cib.String() != after {
		t.Error("the second apply has changed the CIB")
	}
	o.write("3")
	o.run(1, "diff web.cf --inline", "cluster: lvs-ipvs: real=192.0.2.21 gate 1, 192.0.2.22 gate 1 -> ", "kernel: ipvsadm -A -t 192.0.2.10:80 -s wrr")
	o.run(0, applyWeb, "gate 3")
	o.run(0, "show", "primitive lvs-vip ocf:lvs:vip")
}

// TestUndo checks the way back, and that undo does not overwrite a later change.
func TestUndo(t *testing.T) {
	o := newOperator(t, "1")
	o.run(1, "undo", "this node has no change by lvsctl apply")
	o.run(0, applyWeb, "done")
	first := o.cluster.cib.Configuration()
	o.write("3")
	o.run(0, applyWeb, "done")
	o.run(0, "undo", "gate 3 -> ", "done")
	if o.cluster.cib.Configuration() != first {
		t.Errorf("%s\nwant %s", o.cluster.cib.Configuration(), first)
	}
	o.run(1, "undo", "already back")
	o.run(0, applyWeb, "done")
	changed := strings.Replace(o.cluster.cib.String(), "gate 3", "gate 7", 1)
	var err error
	if o.cluster.cib, err = cib.Parse(changed); err != nil {
		t.Fatal(err)
	}
	o.run(1, "undo", "the resources have changed", "--force")
	o.run(0, "undo --force", "gate 7 -> ")
}

// TestConfirmWithin checks the three ends of a change that needs a confirmation: confirmed, not
// confirmed in time, and undone by hand.
func TestConfirmWithin(t *testing.T) {
	o := newOperator(t, "1")
	empty := o.cluster.cib.Configuration()
	o.run(1, "confirm", "this node has no change")
	o.run(0, applyWeb+" --confirm-within=2m", "without lvsctl confirm on this node before ")
	if len(o.spawned) != 2 || o.spawned[0] != "undo" {
		t.Fatalf("started %q", o.spawned)
	}
	o.run(1, applyWeb, "waits for a confirmation")
	o.now = o.now.Add(3 * time.Minute)
	if ended, err := (undoCommand{WhenDue: strings.TrimPrefix(o.spawned[1], "--when-due="), Wait: time.Minute}).due(t.Context(), o.sys, cib.Last{Dir: o.sys.dataDir}); !ended || err != nil {
		t.Errorf("%v %v", ended, err)
	}
	if got := o.cluster.cib.Configuration(); got != empty {
		t.Errorf("got %s\nwant %s", got, empty)
	}
	o.run(1, "confirm", "already back")
	o.run(0, applyWeb+" --confirm-within=2m", "done")
	o.run(0, "confirm", "stays")
	before := o.cluster.cib.String()
	if ended, err := (undoCommand{WhenDue: strings.TrimPrefix(o.spawned[1], "--when-due=")}).due(t.Context(), o.sys, cib.Last{Dir: o.sys.dataDir}); !ended || err != nil || o.cluster.cib.String() != before {
		t.Errorf("%v %v: a confirmed change was undone", ended, err)
	}
	o.run(1, "confirm", "no change waits")
}

// TestApplyOnTheOtherDirector checks that a director makes no change while the other waits for a
// confirmation. It can make one after the confirmation, or after the time has passed.
func TestApplyOnTheOtherDirector(t *testing.T) {
	o := newOperator(t, "1")
	other := newOperator(t, "3")
	other.sys.cluster, other.sys.host = o.cluster, "director2"
	o.write("1") // Both operators have the same working directory.
	o.run(0, applyWeb+" --confirm-within=2m", "done")
	o.write("3")
	other.run(1, applyWeb, "a change by director1 waits for a confirmation until ", "on director1 first")
	other.run(0, applyWeb+" --dry-run", "gate 3")
	o.run(0, "confirm", "stays")
	other.run(0, applyWeb+" --confirm-within=2m", "done")
	o.write("5")
	o.run(1, applyWeb, "a change by director2 waits")
	o.now = o.now.Add(3 * time.Minute)
	o.run(0, applyWeb, "gate 5")
}

// TestApplyBesideOthers checks what apply does when another program changes the cluster, or its
// state, between the question and the change.
func TestApplyBesideOthers(t *testing.T) {
	o := newOperator(t, "1")
	change := func(old, fresh string) {
		var err error
		if o.cluster.cib, err = cib.Parse(strings.Replace(o.cluster.cib.String(), old, fresh, 1)); err != nil {
			t.Fatal(err)
		}
	}
	o.cluster.foreign = func() { change("<nodes/>", `<nodes><node id="1" uname="director1"/></nodes>`) }
	o.run(1, applyWeb, "another program has changed the configuration")
	o.run(1, "undo", "this node has no change")
	o.cluster.foreign = func() { change("<status/>", `<status><node_state id="1"/></status>`) }
	o.run(0, applyWeb, "done")
	if !strings.Contains(o.cluster.cib.String(), "node_state") {
		t.Error("the state of the cluster is lost")
	}
}

// TestApplyInterrupted checks that the way back stays if the cluster has the change, and the
// command has failed.
func TestApplyInterrupted(t *testing.T) {
	o := newOperator(t, "1")
	empty := o.cluster.cib.Configuration()
	o.cluster.breaks = true
	o.run(1, applyWeb, "connection lost")
	o.cluster.breaks, o.cluster.lost = false, false
	if o.cluster.cib.Configuration() == empty {
		t.Fatal("the fake has not made the change")
	}
	o.run(0, "undo", "remove resource ocf:lvs:vip lvs-vip")
	if got := o.cluster.cib.Configuration(); got != empty {
		t.Errorf("got %s", got)
	}
}

// TestUndoWhileApplyWaits checks that a change that is due is undone while lvsctl apply still waits
// for the cluster.
func TestUndoWhileApplyWaits(t *testing.T) {
	o := newOperator(t, "1")
	empty := o.cluster.cib.Configuration()
	o.cluster.waits = func() {
		o.cluster.waits = nil
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		undo := undoCommand{WhenDue: strings.TrimPrefix(o.spawned[1], "--when-due="), Wait: time.Minute}
		if ended, err := undo.due(ctx, o.sys, cib.Last{Dir: o.sys.dataDir}); !ended || err != nil {
			t.Errorf("%v %v", ended, err)
		}
	}
	o.run(0, applyWeb+" --confirm-within=2m", "add resource ocf:lvs:vip lvs-vip")
	if got := o.cluster.cib.Configuration(); got != empty {
		t.Errorf("got %s", got)
	}
}

// TestShowHidesSecrets checks that lvsctl show prints no secret of a check.
func TestShowHidesSecrets(t *testing.T) {
	o := newOperator(t, "1")
	var err error
	o.cluster.cib, err = cib.Parse(`<configuration><resources><primitive id="h" class="ocf" provider="lvs" type="health"><instance_attributes id="a">` +
		`<nvpair id="l" name="login" value="hidden1"/><nvpair id="p" name="passwd" value="hidden2"/><nvpair id="s" name="secret" value="hidden3"/>` +
		`</instance_attributes></primitive></resources></configuration>`)
	if err != nil {
		t.Fatal(err)
	}
	for _, format := range []string{"crm", "pcs", "cib", "json"} {
		o.run(0, "show --output="+format, "***")
		if strings.Contains(o.out.String(), "hidden") {
			t.Errorf("%s shows a secret:\n%s", format, &o.out)
		}
	}
}

func TestApplyRefuses(t *testing.T) {
	o := newOperator(t, "1")
	before := o.cluster.cib.String()
	o.run(1, "apply web.cf --inline", "not a terminal", "give --yes")
	o.sys.stdin = strings.NewReader("n\n")
	o.run(1, "apply web.cf --inline", "change the cluster? [y/N] ", "nothing was changed")
	o.run(1, applyWeb+" --confirm-within=-1s", "is not a time in the future")
	o.run(0, "apply web.cf --inline --dry-run", "the cluster will: Start web")
	o.run(1, "apply web.cf --config=/none/web.cf --yes", "/none/web.cf: no such file or directory", "lvsctl convert --to=ldirectord.cf")
	o.cluster.invalid = errors.New("no interface eth7")
	o.run(1, applyWeb, "validate-all: no interface eth7")
	if o.cluster.cib.String() != before {
		t.Error("the CIB has changed")
	}
	o.cluster.invalid, o.cluster.failures = nil, "Failed Resource Actions:\n  * lvs-vip start\n"
	o.run(1, applyWeb, "Failed Resource Actions")
}

package ledger

import (
	"bytes"
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/sirupsen/logrus"

	"lvs-agents/internal/host"
	"lvs-agents/internal/kernel/kerneltest"
	"lvs-agents/internal/state"
)

func setting(text string) host.Setting {
	s, err := host.ParseSetting(text)
	if err != nil {
		panic(err)
	}
	return s
}

const (
	ignore   = "sysctl name=net/ipv4/conf/all/arp_ignore"
	announce = "sysctl name=net/ipv4/conf/all/arp_announce"
)

// wanted has the settings that two resources of one host need. Both need the same two sysctls.
var wanted = map[string][]Wanted{
	"web":  {{setting(ignore), "1"}, {setting(announce), "2"}, {setting("link nic=tunl0"), host.On}, {setting("address nic=tunl0 ip=192.0.2.10 scope=global"), host.On}},
	"mail": {{setting(ignore), "1"}, {setting(announce), "2"}, {setting("address nic=lo ip=192.0.2.9 scope=global"), host.On}},
}

// node is a host with a fake kernel and a state directory.
type node struct {
	*testing.T

	kernel *kerneltest.Settings
	dir    string
	log    *bytes.Buffer
}

func newNode(t *testing.T) node {
	return node{t, kerneltest.NewSettings(), t.TempDir(), &bytes.Buffer{}}
}

func (n node) resource(id string) *Resource {
	log := logrus.New()
	log.Out, log.Formatter = n.log, &logrus.TextFormatter{DisableTimestamp: true, DisableQuote: true}
	return &Resource{ID: id, Role: RealServer, StateDir: n.dir, Kernel: n.kernel, Log: log,
		Want: func(context.Context) ([]Wanted, error) { return wanted[id], nil }}
}

func (n node) must(err error) {
	n.Helper()
	if err != nil {
		n.Fatal(err)
	}
}

// has checks the settings of the kernel.
func (n node) has(want string) {
	n.Helper()
	if got := n.kernel.String(); got != want {
		n.Errorf("the kernel has\n%swant\n%s", got, want)
	}
}

func (n node) file() Store {
	n.Helper()
	s, err := In(n.dir, RealServer)
	n.must(err)
	return s
}

// report checks the report that Check returns.
func (n node) report(id string, gone bool, fault string) {
	n.Helper()
	r, err := n.resource(id).Check(n.Context())
	if err != nil || r.Gone != gone || r.Fault != fault {
		n.Errorf("%s: got %+v, %v; want gone %t, fault %q", id, r, err, gone, fault)
	}
}

func TestTheLastHolderPutsBack(t *testing.T) {
	for _, order := range [][2]string{{"web", "mail"}, {"mail", "web"}} {
		n := newNode(t)
		n.kernel.Put(setting(announce), "1")
		before := n.kernel.String()
		for id := range wanted {
			n.report(id, true, "")
			n.must(n.resource(id).Apply(t.Context()))
			n.report(id, false, "")
		}
		n.must(n.resource(order[0]).Release(t.Context()))
		n.report(order[0], true, "")
		n.report(order[1], false, "")
		if value, _ := n.kernel.Get(t.Context(), setting(announce)); value != "2" {
			t.Errorf("%s stopped first: arp_announce is %s", order[0], value)
		}
		for range 2 {
			n.must(n.resource(order[1]).Release(t.Context()))
			n.has(before)
		}
		if _, err := os.Stat(n.file().path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("a ledger without holders: %v", err)
		}
	}
}

// TestSettingsThatAreNotWantedAnyMore checks that Apply puts back settings that the resource does
// not need any more.
func TestSettingsThatAreNotWantedAnyMore(t *testing.T) {
	n := newNode(t)
	before := n.kernel.String()
	r := n.resource("web")
	n.must(r.Apply(t.Context()))
	r.Want = n.resource("mail").Want
	n.must(r.Apply(t.Context()))
	n.has("address nic=lo ip=192.0.2.9 scope=global on\n" + strings.Replace(strings.Replace(before, announce+" 0", announce+" 2", 1), ignore+" 0", ignore+" 1", 1))
	n.must(r.Release(t.Context()))
	n.has(before)
}

// mortal is a kernel that ends its caller at one operation, as if the process were killed.
type mortal struct {
	Kernel
	kerneltest.Death
}

func (m *mortal) Get(ctx context.Context, s host.Setting) (value string, err error) {
	m.Do(func() { value, err = m.Kernel.Get(ctx, s) })
	return value, err
}

func (m *mortal) Set(ctx context.Context, s host.Setting, value string) (err error) {
	m.Do(func() { err = m.Kernel.Set(ctx, s, value) })
	return err
}

// killed runs an action whose goroutine ends at one operation of the kernel. If after is true, the
// kernel carries out this operation first. killed reports whether the action came to this
// operation.
func (n node) killed(id string, at int, after bool, action func(*Resource, context.Context) error) bool {
	n.Helper()
	return n.killedIn(n.resource(id), at, after, action)
}

func (n node) killedIn(r *Resource, at int, after bool, action func(*Resource, context.Context) error) bool {
	n.Helper()
	m := &mortal{Kernel: r.Kernel, Death: kerneltest.Death{Left: at, After: after}}
	r.Kernel = m
	done := make(chan error, 1)
	go func() {
		defer close(done)
		done <- action(r, n.Context())
	}()
	n.must(<-done)
	return m.Died
}

// TestKilledBetweenAnyTwoOperations checks that Apply and Release can be killed before or after
// every operation on the kernel. The next actions must succeed as if no process had been killed.
// The other resource must keep its settings.
func TestKilledBetweenAnyTwoOperations(t *testing.T) {
	// In these texts, the letter a means a call of Apply, and r a call of Release.
	for _, next := range []string{"r", "ar", "aarr"} {
		for _, victim := range []string{"a", "r"} {
			for _, after := range []bool{false, true} {
				at := 0
				for killedAt(t, at, after, victim, next) {
					at++
				}
				if at < 4 {
					t.Errorf("%s then %s: only %d operations", victim, next, at)
				}
			}
		}
	}
}

func act(letter byte) func(*Resource, context.Context) error {
	return map[byte]func(*Resource, context.Context) error{'a': (*Resource).Apply, 'r': (*Resource).Release}[letter]
}

// killedAt kills the action victim at one operation and then checks the actions in next. It reports
// whether the victim came to this operation.
func killedAt(t *testing.T, at int, after bool, victim, next string) bool {
	n := newNode(t)
	none := n.kernel.String()
	n.must(n.resource("mail").Apply(t.Context()))
	without := n.kernel.String()
	n.must(n.resource("web").Apply(t.Context()))
	with := n.kernel.String()
	if victim == "a" {
		n.must(n.resource("web").Release(t.Context()))
	}
	if !n.killed("web", at, after, act(victim[0])) {
		return false
	}
	if _, err := n.resource("web").Check(t.Context()); err != nil {
		t.Errorf("check: %v", err)
	}
	for i := range len(next) {
		n.must(act(next[i])(n.resource("web"), t.Context()))
		n.has(map[byte]string{'a': with, 'r': without}[next[i]])
		n.report("web", next[i] == 'r', "")
		n.report("mail", false, "")
	}
	n.must(n.resource("mail").Release(t.Context()))
	n.has(none)
	if t.Failed() {
		t.Fatalf("%s, killed at operation %d (after it: %t), then %s", victim, at, after, next)
	}
	return true
}

// TestForeignChange checks that Release leaves a value that another program has set, and logs it.
func TestForeignChange(t *testing.T) {
	n := newNode(t)
	before := n.kernel.String()
	n.must(n.resource("web").Apply(t.Context()))
	n.kernel.Put(setting(announce), "1")
	n.report("web", false, announce+" is 1 and not 2; sysctl -w net.ipv4.conf.all.arp_announce=2")
	// resource mail needs the value that the ledger already has
	n.must(n.resource("mail").Apply(t.Context()))
	n.report("web", false, "")
	n.kernel.Put(setting(announce), "1")
	n.must(n.resource("mail").Release(t.Context()))
	n.must(n.resource("web").Release(t.Context()))
	want := announce + " is left as it is: its value is 1, but it was 0 before start and 2 since; another program has changed it"
	if !strings.Contains(n.log.String(), want) {
		t.Errorf("log:\n%swant %s", n.log, want)
	}
	n.kernel.Put(setting(announce), "0")
	n.has(before)
}

// TestFaultWithNothingLeft checks that a resource counts as gone after another program has put back
// all of its settings.
func TestFaultWithNothingLeft(t *testing.T) {
	n := newNode(t)
	n.must(n.resource("web").Apply(t.Context()))
	for _, w := range wanted["web"] {
		n.kernel.Put(w.Setting, map[bool]string{true: host.Off, false: "0"}[w.Switch()])
	}
	n.report("web", true, ignore+" is 0 and not 1; sysctl -w net.ipv4.conf.all.arp_ignore=1")
}

// TestDamagedFileLosesNoSwitch checks Release with a ledger that was cut short. Release must put
// back every setting that is on or off. It must log the sysctls whose earlier value was lost.
func TestDamagedFileLosesNoSwitch(t *testing.T) {
	for removed := 2; ; removed += 7 {
		n := newNode(t)
		n.must(n.resource("web").Apply(t.Context()))
		text, err := os.ReadFile(n.file().path)
		n.must(err)
		cut := len(text) - removed
		if cut < bytes.Index(text, []byte("holder")) {
			break // a ledger without the line of its owner can be from another namespace
		}
		n.must(os.WriteFile(n.file().path, text[:cut], 0o644))
		r, err := n.resource("web").Check(t.Context())
		if err != nil || r.Gone || !strings.HasSuffix(r.Fault, "; stop and start this resource") {
			t.Errorf("cut after %d bytes: %+v, %v", cut, r, err)
		}
		n.must(n.resource("web").Release(t.Context()))
		if left := n.kernel.String(); strings.Contains(left, " on\n") {
			t.Errorf("cut after %d bytes, the kernel has\n%s", cut, left)
		}
		// each sysctl must have its earlier value, or be in the log
		for _, name := range []string{ignore, announce} {
			value, _ := n.kernel.Get(t.Context(), setting(name))
			if named := strings.Contains(n.log.String(), name+" stays "+value); value != "0" != named {
				t.Errorf("cut after %d bytes: %s is %s; log:\n%s", cut, name, value, n.log)
			}
		}
		n.report("web", true, "")
	}
}

// TestLinesThatAreUnknown checks that Load reports a line that it cannot read as damage.
func TestLinesThatAreUnknown(t *testing.T) {
	n := newNode(t)
	n.must(n.resource("web").Apply(t.Context()))
	text, err := os.ReadFile(n.file().path)
	n.must(err)
	body, err := state.Unseal(string(text), "")
	n.must(err)
	for _, tt := range []struct{ old, new, want string }{
		{`holder running "web"`, `holder sleeping "web"`, `line 4: invalid holder "sleeping \"web\""`},
		{`holder running "web"`, `holder running web`, `line 4: invalid holder "running web"`},
		{`setting "link nic=tunl0"`, `setting "lamp nic=tunl0"`, `line 7: setting "lamp nic=tunl0": it is not complete`},
		{`setting "link nic=tunl0" found`, `setting found`, `line 7: invalid setting "found \"off\" set \"on\" by \"web\""`},
		{"holder running \"web\"\n", "", `"web" has no state`},
	} {
		changed := strings.Replace(body, tt.old, tt.new, 1)
		n.must(os.WriteFile(n.file().path, []byte(state.Seal(changed, "")+end+"\n"), 0o644))
		_, err := n.file().Load()
		if !errors.Is(err, state.ErrDamaged) || !slices.Contains(strings.Split(err.Error(), "\n"), n.file().path+": damaged record: "+tt.want) {
			t.Errorf("got  %v\nwant %s", err, tt.want)
		}
	}
}

// TestLedgerThatCannotBeWritten checks that Apply fails before it changes a setting if the ledger
// cannot be written. Release must succeed without the ledger.
func TestLedgerThatCannotBeWritten(t *testing.T) {
	n := newNode(t)
	before := n.kernel.String()
	// a directory with the name of the ledger makes every write fail
	n.must(os.MkdirAll(n.file().path, 0o755))
	if err := n.resource("web").Apply(t.Context()); err == nil {
		t.Error("Apply succeeds")
	}
	n.has(before)
	n.must(os.Remove(n.file().path))
	n.must(n.resource("web").Apply(t.Context()))
	n.must(os.Remove(n.file().path))
	n.must(os.MkdirAll(n.file().path+"/x", 0o755))
	r := n.resource("web")
	n.must(r.Release(t.Context()))
	if report, err := r.Check(t.Context()); err != nil || !report.Gone {
		t.Errorf("%+v, %v", report, err)
	}
}

// TestMissingSysctl checks that Apply changes nothing if a sysctl does not exist. Its error must be
// host.ErrNotInstalled.
func TestMissingSysctl(t *testing.T) {
	n := newNode(t)
	before := n.kernel.String()
	r := n.resource("sync")
	r.Want = func(context.Context) ([]Wanted, error) {
		return []Wanted{{setting(ignore), "1"}, {setting("sysctl name=net/ipv4/vs/sync_threshold"), "3"}}, nil
	}
	err := r.Apply(t.Context())
	if !errors.Is(err, host.ErrNotInstalled) || err.Error() != "sysctl net.ipv4.vs.sync_threshold does not exist here; lvsctl doctor --kernel shows what this kernel has" {
		t.Errorf("got %v", err)
	}
	n.has(before)
	n.report("sync", true, "")
}

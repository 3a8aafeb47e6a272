// Package states tests which resource or daemon owns the virtual services and the destinations,
// after every sequence of start, stop, kill and reload. It needs no root and no IPVS: the kernel is
// simulated. Agents and daemons run in the test process, with the fake clock of testing/synctest.
package states

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"lvs-agents/agents/health"
	"lvs-agents/agents/ipvs"
	"lvs-agents/internal/attribute"
	"lvs-agents/internal/check"
	"lvs-agents/internal/config"
	"lvs-agents/internal/config/load"
	"lvs-agents/internal/control"
	"lvs-agents/internal/disk"
	watch "lvs-agents/internal/health"
	"lvs-agents/internal/kernel/kerneltest"
	"lvs-agents/internal/lvs"
	"lvs-agents/internal/state"
	"lvs-agents/internal/state/pidfile"
	"lvs-agents/internal/state/record"
	"lvs-agents/ocf"
	"lvs-agents/ocf/ocftest"
)

// These constants are the ids of the ipvs resource, the health resource, and the daemon that an
// operator starts. The id of the last one is the name of its configuration file.
const (
	resource  = "web-ipvs"
	healthID  = "web-health"
	directord = "web"
)

// world contains the conditions that are the same for all orders of steps in a test.
type world struct {
	name, quiescent, fallback string
	down                      map[string]bool // real servers whose checks fail
	still                     bool            // true: the configuration file does not change before a reload
}

// director is one simulated host: its kernel, its state directory and its daemons.
type director struct {
	t       *testing.T
	world   world
	kernel  *kerneltest.IPVS
	state   string
	file    string
	second  bool // true: the configuration file has its second version
	daemons map[string]*running

	mu   sync.Mutex
	last map[string]bool // true: the last check of this real server for this service was good
	said string          // log of the last action of an agent
}

// running is one health daemon that runs as goroutines of the test process.
type running struct {
	*watch.Daemon
	identity *pidfile.Identity
	cancel   context.CancelFunc
	ended    chan error
}

func newDirector(t *testing.T, w world) *director {
	t.Helper()
	dir := temporary(t)
	d := &director{
		t: t, world: w, kernel: kerneltest.NewIPVS(), state: filepath.Join(dir, "state"), file: filepath.Join(dir, directord+".cf"),
		daemons: map[string]*running{}, last: map[string]bool{},
	}
	d.write()
	return d
}

// temporary returns a new directory, in memory if the test host has /dev/shm. The test runs
// thousands of orders, and each order writes hundreds of small files.
func temporary(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "states")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// write writes the configuration file in its first or second version. Compared with the first
// version, the second version changes a weight, and adds a real server and a service.
func (d *director) write() {
	d.t.Helper()
	weight, more, other := "", "", ""
	if d.second {
		weight, more = " 5", "\treal=192.0.2.23:80 gate\n"
		other = "virtual=192.0.2.11:80\n\treal=192.0.2.21:80 gate\n\treal=192.0.2.22:80 gate\n\tscheduler=rr\n" + d.world.fallback
	}
	text := fmt.Sprintf("checkinterval=1\nquiescent=%s\nvirtual=192.0.2.10:80\n\treal=192.0.2.21:80 gate%s\n\treal=192.0.2.22:80 gate\n%s\tscheduler=rr\n%s%s",
		d.world.quiescent, weight, more, d.world.fallback, other)
	if err := os.WriteFile(d.file, []byte(text), 0o600); err != nil {
		d.t.Fatal(err)
	}
}

// toggle replaces the configuration file with its other version. If world.still is true, the file
// keeps its first version.
func (d *director) toggle() {
	d.second = !d.second && !d.world.still
	d.write()
}

func (d *director) load(ctx context.Context) (watch.Setup, error) {
	file, err := load.File(ctx, &disk.Reader{}, d.file)
	if err == nil {
		err = config.Err(file.Problems)
	}
	if err != nil {
		return watch.Setup{}, err
	}
	return watch.NewSetup(ctx, file.Config, nil)
}

// Launch implements health.Launcher.
func (d *director) Launch(ctx context.Context, args []string) error {
	for _, arg := range args {
		if id, ok := strings.CutPrefix(arg, "--id="); ok {
			return d.launch(ctx, id)
		}
	}
	return errors.New("no id")
}

func (d *director) launch(ctx context.Context, id string) error {
	identity, err := pidfile.Acquire(control.PIDFile(d.state, id))
	if err != nil {
		return err
	}
	store, err := record.In(d.state)
	if err != nil {
		return err
	}
	log := logrus.New()
	log.SetOutput(io.Discard)
	r := &running{identity: identity, ended: make(chan error, 1)}
	r.Daemon = watch.New(watch.Options{
		ID: id, Config: d.file, PID: os.Getpid(), Kernel: d.kernel, Store: store, Log: log, Load: d.load,
		Lives: func(id string) (bool, error) { return control.Lives(d.state, id) },
		// An error of Save is ignored: if the file is missing, a later comparison fails.
		SaveVerdicts: func(b state.Verdicts) { _ = b.Save(d.state, id) },
		Checked:      d.checked,
		Checker:      func(p watch.Probe) (check.Checker, error) { return checker{d, p.Addr}, nil },
	})
	own, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	ready := make(chan struct{})
	go func() { r.ended <- r.Run(own, func() { close(ready) }) }()
	select {
	case <-ready:
		d.daemons[id] = r
		return nil
	case err = <-r.ended:
	case <-ctx.Done():
		cancel()
		err = errors.Join(ctx.Err(), <-r.ended)
	}
	cancel()
	return errors.Join(err, identity.Release())
}

// end kills the daemon with this id, if the daemon runs. The IPVS table and the files of the daemon
// stay as they are.
func (d *director) end(id string) {
	r := d.daemons[id]
	if r == nil {
		return
	}
	delete(d.daemons, id)
	r.cancel()
	if err := errors.Join(<-r.ended, r.identity.Release()); err != nil {
		d.t.Error(err)
	}
}

// checker simulates the check of a real server. The check fails if the real server is in
// world.down.
type checker struct {
	d    *director
	addr netip.AddrPort
}

func (c checker) Check(context.Context) error {
	if c.d.world.down[c.addr.Addr().String()] {
		return errors.New("refused")
	}
	return nil
}

// checked stores whether a check of a real server was good.
func (d *director) checked(s watch.Service, real watch.Real, _ watch.Probe, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.last[record.Server(s.ID, real.Addr)] = err == nil
}

// Status implements control.Daemons.
func (d *director) Status(ctx context.Context, _, id string) (control.Snapshot, error) {
	if r := d.daemons[id]; r != nil {
		return r.Snapshot(ctx)
	}
	return control.Snapshot{}, errors.New("it does not run")
}

// Resync implements control.Daemons.
func (d *director) Resync(ctx context.Context, _, id string) error {
	if r := d.daemons[id]; r != nil {
		return r.Resync(ctx)
	}
	return errors.New("it does not run")
}

// Reload implements control.Daemons.
func (d *director) Reload(ctx context.Context, _, id string) error {
	if r := d.daemons[id]; r != nil {
		return r.Reload(ctx)
	}
	return errors.New("it does not run")
}

// Remove implements health.NodeAttributes.
func (d *director) Remove(context.Context, string) error { return attribute.ErrNoCluster }

// run runs an action of an agent and returns its exit code.
func (d *director) run(agent, action string) ocf.Code {
	var code ocf.Code
	var reason string
	if agent == "ipvs" {
		a := ipvs.New(d.kernel, kerneltest.NewSettings(), nil)
		a.Through(d)
		code, reason, d.said = ocftest.Run(a, d.state, resource, action, "config="+d.file)
	} else {
		a := health.New(d.kernel, d, d)
		a.Through(d)
		code, reason, d.said = ocftest.Run(a, d.state, healthID, action, "config="+d.file)
	}
	d.said += reason
	return code
}

// step is one action of the cluster or of an operator, for example "ipvs start".
type step string

// steps lists the steps whose orders the tests run. It has no kill of the agent ipvs, because
// tests/kernel tests that.
var steps = []step{
	"ipvs start", "ipvs stop", "ipvs reload", "health start", "health stop", "health kill", "health reload",
	"directord start", "directord stop", "directord kill", "directord reload",
}

// do runs the action of a step. It returns an error if the agent or the daemon refuses the action.
func (d *director) do(s step) error {
	who, what, _ := strings.Cut(string(s), " ")
	id := healthID
	if who == "directord" {
		id = directord
	}
	switch {
	case what == "kill":
		d.end(id)
		return nil
	case what == "reload" && who == "ipvs":
		d.toggle()
		return failure(d.run("ipvs", "reload-agent"), d.said)
	case what == "reload":
		d.toggle()
		return d.Reload(d.t.Context(), "", id)
	case who == "directord":
		return d.byHand(what)
	case who == "health" && what == "stop":
		// The daemon runs in the test process. End the daemon before the agent stops it: the SIGTERM
		// of the agent would end the test process.
		d.end(id)
	}
	return failure(d.run(who, what), d.said)
}

func failure(code ocf.Code, said string) error {
	if code == ocf.Success {
		return nil
	}
	return fmt.Errorf("%d: %s", code, said)
}

// byHand does the work of "directord FILE start" and "directord FILE stop", which an operator
// types.
func (d *director) byHand(what string) error {
	if what == "start" {
		if d.daemons[directord] != nil {
			return nil
		}
		return d.launch(d.t.Context(), directord)
	}
	d.end(directord)
	store, err := record.In(d.state)
	if err != nil {
		return err
	}
	_, err = store.Release(d.t.Context(), d.kernel, directord)
	return err
}

// settle advances the fake clock, so that every daemon can react to the last step and check the
// real servers. With long, it advances the clock further.
func (d *director) settle(long bool) {
	<-time.After(3 * time.Second)
	if !long {
		return
	}
	for _, r := range d.daemons {
		if s, err := r.Snapshot(d.t.Context()); err != nil || s.Trouble != "" {
			<-time.After(10 * time.Second) // A daemon that has not held its services for 10 s reports that it has failed.
			return
		}
	}
}

// later makes the verdict files of ended daemons too old, as a minute without a daemon does.
func (d *director) later() {
	for _, id := range []string{healthID, directord} {
		if d.daemons[id] == nil {
			bad, err := state.Bad(d.state, id)
			if err != nil {
				d.t.Fatal(err)
			}
			if _, err := os.Stat(state.DaemonDir(d.state)); err == nil {
				_ = state.Verdicts{Age: 2 * control.Memory, Bad: slices.Sorted(keys(bad))}.Save(d.state, id)
			}
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.daemons) == 0 {
		clear(d.last)
	}
}

func keys(m map[string]bool) func(func(string) bool) {
	return func(yield func(string) bool) {
		for key := range m {
			if !yield(key) {
				return
			}
		}
	}
}

// bad reports whether the last check of this real server for this service failed.
func (d *director) bad(id lvs.ServiceID, addr netip.AddrPort) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	good, checked := d.last[record.Server(id, addr)]
	return checked && !good
}

// table returns the IPVS table of the simulated kernel.
func (d *director) table() lvs.Table {
	table, err := d.kernel.Table(d.t.Context())
	if err != nil {
		d.t.Fatal(err)
	}
	return table
}

// records returns the records in the state directory, sorted by resource.
func (d *director) records() []record.Record {
	store, err := record.In(d.state)
	if err != nil {
		d.t.Fatal(err)
	}
	all, damaged, err := store.Others("")
	if err != nil || len(damaged) > 0 {
		d.t.Fatalf("records: %v %v", damaged, err)
	}
	slices.SortFunc(all, func(a, b record.Record) int { return strings.Compare(a.ID, b.ID) })
	return all
}

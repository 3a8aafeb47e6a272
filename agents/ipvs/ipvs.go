// Package ipvs is the resource agent for IPVS virtual services. Running means
// that every service of the resource's record is in the kernel with its
// scheduler, persistence and real servers, as they were configured at start or
// at the last reload.
package ipvs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"lvs-agents/internal/config"
	"lvs-agents/internal/control"
	"lvs-agents/internal/host"
	"lvs-agents/internal/lvs"
	"lvs-agents/internal/state/record"
	"lvs-agents/metadata"
	"lvs-agents/ocf"
)

// Kernel is the IPVS table of the network namespace.
type Kernel interface {
	Table(context.Context) (lvs.Table, error)
	// Apply does the ops in order until one fails and says how many it did.
	Apply(context.Context, []lvs.Op) (int, error)
	// Forwards reports whether the host forwards packets of a family.
	Forwards(v6 bool) bool
}

// Agent is one resource. The exported fields are its parameters.
type Agent struct {
	Config     string
	Virtual    string
	Real       string
	Scheduler  lvs.Scheduler
	Persistent int // seconds
	Netmask    string
	Protocol   string

	kernel     Kernel
	daemons    control.Daemons
	resolver   config.Resolver
	configDirs []string
}

var (
	_ ocf.Agent     = (*Agent)(nil)
	_ ocf.Reloader  = (*Agent)(nil)
	_ ocf.Validator = (*Agent)(nil)
)

// New makes an agent with its defaults. The resolver is for host names in the
// configuration file.
func New(k Kernel, r config.Resolver) *Agent {
	return &Agent{Scheduler: lvs.DefaultScheduler, kernel: k, daemons: control.Sockets{}, resolver: r, configDirs: config.Dirs()}
}

// Through lets the agent speak with health daemons in another way than over their
// sockets.
func (a *Agent) Through(d control.Daemons) { a.daemons = d }

// Metadata declares the agent.
func (a *Agent) Metadata() metadata.Agent {
	return metadata.Agent{
		Name:  "ipvs",
		Short: "IPVS virtual services of an LVS director",
		Long: `Puts IPVS virtual services and their real servers into the kernel of the director: from a configuration file in ldirectord's syntax (config), or from parameters (virtual, real and the others), which the cluster then carries to every node.

Only services of this resource are ever looked at or changed: no table is flushed, and services that other programs or resources made stay as they are. A service that stands in the kernel already is adopted if it is equal; if it differs, start fails and names the difference.

A real server that a health daemon of this node found bad less than a minute before start begins with weight 0, unless all of its service were; the next health daemon brings it back or, if none comes, a monitor after that minute.

While a health daemon lives, it decides about the real servers of its services, and monitor asks it to repair what is wrong. A minute after it has ended without another one, they have the weights of the configuration again. A service that has real servers, none of which gets connections, is failed unless the health daemon found all of them bad. A reload is one of the health daemon, too; it fails if that refuses its configuration.

Start this resource before the virtual IP address and stop it after: a client then never reaches a director that has no table.`,
		Params:    a.params(),
		Arguments: []string{"config"},
		Actions:   actions,
		Examples: []metadata.Example{
			{Title: "Services from a file that every director has", ID: "web-ipvs", Params: [][2]string{{"config", "/etc/ha.d/ldirectord.cf"}}},
			{Title: "One service, carried by the cluster's configuration", ID: "web-ipvs", Params: [][2]string{
				{"virtual", "192.0.2.10:80"}, {"real", "192.0.2.21 gate 1, 192.0.2.22 gate 1"}, {"scheduler", "rr"},
			}},
		},
	}
}

var actions = []metadata.Action{
	{Name: "start", Timeout: 20 * time.Second},
	{Name: "stop", Timeout: 20 * time.Second},
	{Name: "monitor", Timeout: 20 * time.Second, Interval: 10 * time.Second},
	{Name: "reload-agent", Timeout: 20 * time.Second},
	{Name: "validate-all", Timeout: 10 * time.Second},
	{Name: "meta-data", Timeout: 5 * time.Second},
}

func (a *Agent) params() []metadata.Param {
	return []metadata.Param{
		{Name: "config", Value: metadata.String(&a.Config), Reloadable: true, Short: "Configuration file",
			Long: "A file in the syntax of ldirectord.cf with the virtual services. A relative name is looked up in /etc/ha.d. Every director needs the same file. Not together with virtual; one of the two is needed. The file is read at start and reload only."},
		{Name: "virtual", Value: metadata.String(&a.Virtual), UniqueGroup: "virtual", Short: "Virtual services",
			Long: "One or several of address:port, [IPv6 address]:port or a firewall mark (a number), separated by blanks. All of them get the same real servers, scheduler and persistence. Not together with config."},
		{Name: "real", Value: metadata.String(&a.Real), Reloadable: true, Short: "Real servers",
			Long: "Real servers separated by commas or semicolons, each as: address[:port] method [weight]. The method is gate (direct routing), masq (NAT) or ipip (tunnel); the port is the virtual service's and the weight 1 when unset. address->address is a range."},
		{Name: "scheduler", Value: metadata.Select(&a.Scheduler, lvs.Schedulers()...), Reloadable: true, Short: "IPVS scheduler",
			Long: "How the kernel chooses a real server for a new connection. With config the file's scheduler lines count instead."},
		{Name: "persistent", Value: metadata.Integer(&a.Persistent, 0, int(lvs.MaxPersistence/time.Second)), Reloadable: true, Short: "Persistence in seconds",
			Long: "For how many seconds a client stays with the real server that it got; 0 is no persistence."},
		{Name: "netmask", Value: metadata.String(&a.Netmask), Reloadable: true, Short: "Persistence netmask",
			Long: "Clients of one network stay together: a mask like 255.255.255.0 for IPv4, a prefix length for IPv6. Every client counts by itself when unset. Only with persistent."},
		{Name: "protocol", Value: metadata.Select(&a.Protocol, "tcp", "udp", "fwm"), Short: "Protocol of the virtual services",
			Long: "tcp or udp for addresses, fwm for firewall marks. When unset: fwm for a mark, udp for port 53, tcp for the rest."},
	}
}

// Start puts the services into the kernel and changes nothing that is right.
func (a *Agent) Start(ctx context.Context, c ocf.Call) error {
	want, err := a.want(ctx, c)
	if err != nil {
		return err
	}
	store, err := record.In(c.StateDir)
	if err != nil {
		return err
	}
	next := record.Record{Services: want, Withheld: withheld(c, want)}
	before, err := a.converge(ctx, c, store, &next, false)
	a.warnOfForwarding(c, want)
	if err != nil || before.Services.String() == next.Services.String() {
		return err
	}
	return a.follow(ctx, c, store, next)
}

// ReloadAgent changes the services of a running resource in place, and lets the health
// daemon that has them do the same.
func (a *Agent) ReloadAgent(ctx context.Context, c ocf.Call) error {
	want, err := a.want(ctx, c)
	if err != nil {
		return err
	}
	store, err := record.In(c.StateDir)
	if err != nil {
		return err
	}
	next := record.Record{Services: want, Withheld: withheld(c, want)}
	_, err = a.converge(ctx, c, store, &next, true)
	if errors.Is(err, fs.ErrNotExist) {
		return ocf.ErrNotRunning
	}
	if err != nil {
		return err
	}
	return a.follow(ctx, c, store, next)
}

// converge makes the kernel hold the services of next, with weight 0 for what is
// withheld, and nothing else that the resource claimed before. It completes next and
// returns the record before, which has to exist if it is needed.
func (a *Agent) converge(ctx context.Context, c ocf.Call, store record.Store, next *record.Record, needed bool) (old record.Record, err error) {
	until, _ := ctx.Deadline()
	unlock, err := store.Lock(ctx, c.Instance, until)
	if err != nil {
		return old, err
	}
	defer unlock()
	old, err = store.Load(c.Instance)
	switch {
	case err == nil, errors.Is(err, record.ErrDamaged): // what is left of a damaged record is still ours
	case errors.Is(err, fs.ErrNotExist) && !needed:
	default:
		return old, err
	}
	if err := a.claim(ctx, c, store, old, next.Services); err != nil {
		return old, err
	}
	l, err := leaseOf(c, old)
	if err != nil {
		return old, err
	}
	next.ID, next.State, next.Generation, next.Removing = c.Instance, record.Running, old.Generation+1, gone(old, next.Services)
	l.inherit(next, old)
	if err := store.Save(*next); err != nil {
		return old, fmt.Errorf("writing the record: %w", err)
	}
	if err := a.apply(ctx, c, *next); err != nil || len(next.Removing) == 0 {
		return old, err
	}
	next.Removing = nil
	return old, store.Save(*next)
}

// claim refuses services that belong to somebody else: to another resource by
// its record, or to nobody by any record and not equal to what we want.
func (a *Agent) claim(ctx context.Context, c ocf.Call, store record.Store, old record.Record, want lvs.Table) error {
	others, unread, err := store.Others(c.Instance)
	if err != nil {
		return fmt.Errorf("reading the records of other resources: %w", err)
	}
	for _, path := range store.Copies() {
		c.Log.Warnf("%s is a copy of a record and counts for nothing; remove it", path)
	}
	for _, other := range others {
		scope := other.Scope()
		for _, id := range want.IDs() {
			if scope[id] {
				return fmt.Errorf("virtual service %s belongs to %s already%s; stop that, or remove %s if there is none", id, record.Owner(other.ID), died(c, other.ID), store.Path(other.ID))
			}
		}
	}
	have, err := a.kernel.Table(ctx)
	if err != nil {
		return err
	}
	ours := old.Scope()
	for _, w := range want {
		h, exists := have.Lookup(w.ID)
		switch {
		case !exists || ours[w.ID]:
		case len(unread) > 0:
			return fmt.Errorf("virtual service %s exists already and may belong to the damaged record %s; repair or remove that", w.ID, unread[0])
		case !w.Equal(h):
			first := lvs.Plan(lvs.Table{w}, lvs.Table{h}, lvs.Scope{w.ID: true})[0]
			return fmt.Errorf("virtual service %s exists already and differs; ipvsadm -D it, or make it equal (to do: %s)", w.ID, first)
		}
	}
	return nil
}

// died says that the health daemon whose own record this is does not live.
func died(c ocf.Call, id string) string {
	holder, own := record.HolderOf(id)
	if !own {
		return ""
	}
	if lives, err := control.Lives(c.StateDir, holder); err != nil || lives {
		return ""
	}
	return ", which has died"
}

// gone is what a record claims and want has no more.
func gone(old record.Record, want lvs.Table) []lvs.ServiceID {
	var ids []lvs.ServiceID
	for _, id := range append(old.Services.IDs(), old.Removing...) {
		if _, kept := want.Lookup(id); !kept {
			ids = append(ids, id)
		}
	}
	return ids
}

// attempts bounds how often a plan is made again because the table changed
// between the look and the op.
const attempts = 5

// apply looks and plans until a look shows that nothing is left to do for the
// services of a record. Destinations that a health daemon has stay as they are.
func (a *Agent) apply(ctx context.Context, c ocf.Call, r record.Record) error {
	var raced error
	for range attempts {
		have, err := a.kernel.Table(ctx)
		if err != nil {
			return err
		}
		ops := lvs.Plan(r.Target().Yield(have, r.Claims()), have, r.Scope())
		if len(ops) == 0 {
			return nil
		}
		done, err := a.kernel.Apply(ctx, ops)
		logOps(c, ops[:done])
		if err != nil && !errors.Is(err, fs.ErrExist) && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		raced = err
	}
	if raced != nil {
		return fmt.Errorf("the table changes all the time: %w", raced)
	}
	return errors.New("the kernel does not keep what was set; somebody else changes the table")
}

// logOps logs what was done; of thousands of real servers the first are enough.
func logOps(c ocf.Call, done []lvs.Op) {
	const enough = 50
	for _, op := range done[:min(len(done), enough)] {
		c.Log.Info(op)
	}
	if len(done) > enough {
		c.Log.Infof("and %d changes more", len(done)-enough)
	}
}

// Stop removes the services of the record, whatever the parameters say.
func (a *Agent) Stop(ctx context.Context, c ocf.Call) error {
	store, err := record.In(c.StateDir)
	if err != nil {
		return err
	}
	unlock, err := store.LockInHalf(ctx, c.Instance)
	if err != nil {
		c.Log.Warnf("stopping without the lock: %v", err)
	}
	defer unlock()
	r, err := store.Load(c.Instance)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		a.mention(ctx, c, store)
		return nil
	case errors.Is(err, record.ErrDamaged):
		c.Log.Warn(err)
		return a.stopDamaged(ctx, c, store, r)
	case err != nil:
		return err
	}
	return a.stopRecord(ctx, c, store, r)
}

// stopRecord empties the kernel of what a record claims. The record goes last: it
// is what a later stop would need.
func (a *Agent) stopRecord(ctx context.Context, c ocf.Call, store record.Store, r record.Record) error {
	r.ID, r.State = c.Instance, record.Stopping
	if err := store.Save(r); err != nil {
		c.Log.Warnf("the record could not be marked as stopping: %v", err)
	}
	r.Removing = append(r.Removing, r.Services.IDs()...)
	r.Services = nil
	if err := a.apply(ctx, c, r); err != nil && !errors.Is(err, host.ErrNotInstalled) {
		return err
	}
	if err := store.Remove(c.Instance); err != nil {
		c.Log.Warnf("the services are gone, but their record stays: %v", err)
	}
	return nil
}

// Monitor compares the record with the kernel.
func (a *Agent) Monitor(ctx context.Context, c ocf.Call) (ocf.Status, error) {
	store, err := record.In(c.StateDir)
	if err != nil {
		return ocf.Status{}, err
	}
	r, err := store.Load(c.Instance)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		a.logForeign(ctx, c)
		return ocf.Status{State: ocf.Stopped}, nil
	case errors.Is(err, record.ErrDamaged):
		return a.judgeDamaged(ctx, c, store, r, err)
	case err != nil:
		return ocf.Status{}, err
	}
	l, err := leaseOf(c, r)
	if err != nil {
		return ocf.Status{}, err
	}
	have, err := a.kernel.Table(ctx)
	if err != nil {
		return ocf.Status{}, err
	}
	status := judge(r, have, l)
	if status.State == ocf.Running && c.Recurring && overdue(c, r, l) {
		return status, a.restore(ctx, c, store)
	}
	if idle, _ := l.unserved(r, have); status.State == ocf.Running && len(idle) == 0 {
		l.logRunning(c, r, have)
		return status, nil
	}
	return a.lookAgain(ctx, c, store)
}

// logDown says which services have no real server that is good.
func logDown(c ocf.Call, down []lvs.ServiceID) {
	if len(down) > 0 {
		c.Log.Warnf("no real server of %s was good when the health daemon last checked them, and there is no fallback", words(down))
	}
}

// restore gives real servers the weights of the record that no health daemon has
// checked for too long: those withheld before start, and those of services whose
// daemon has ended and was not started again. The record is written first, so that the
// next monitor finds what is missing.
func (a *Agent) restore(ctx context.Context, c ocf.Call, store record.Store) error {
	unlock, err := store.LockInHalf(ctx, c.Instance)
	if err != nil {
		return err
	}
	defer unlock()
	r, err := store.Load(c.Instance)
	if err != nil || r.State != record.Running {
		return err
	}
	l, err := leaseOf(c, r)
	if err != nil || !overdue(c, r, l) {
		return err // a health daemon has come meanwhile
	}
	if l.lapsed() {
		c.Log.Warnf("no health daemon has checked the real servers of %s for %v; they get the weights of their configuration", words(r.Claimed), control.Memory)
		r.Holder, r.Claimed = "", nil
	} else {
		c.Log.Warn("no health daemon has checked real servers that were bad before start; they get their weights back")
	}
	r.Withheld = nil
	if err := store.Save(r); err != nil {
		return fmt.Errorf("writing the record: %w", err)
	}
	return a.apply(ctx, c, r)
}

// heal lets the health daemon of claimed services put them back: the cluster would
// stop what is about to be there again. It reports whether the daemon has done so.
func (a *Agent) heal(ctx context.Context, c ocf.Call, holder string) bool {
	const patience = 2 * time.Second
	asked, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err := a.daemons.Resync(asked, c.StateDir, holder)
	if err != nil {
		c.Log.Warnf("the table is not as it should be, and its health daemon cannot help: %v", err)
	}
	return err == nil
}

// lookAgain decides when something seems to be wrong. A dump that somebody else's
// changes tore can miss what is there (kernel/ipvs, Table), so the second look
// is under the lock where that can be had.
func (a *Agent) lookAgain(ctx context.Context, c ocf.Call, store record.Store) (ocf.Status, error) {
	r, err := store.Load(c.Instance)
	healed := err == nil && r.Holder != "" && a.heal(ctx, c, r.Holder)
	if unlock, err := store.LockInHalf(ctx, c.Instance); err == nil {
		defer unlock()
	}
	r, err = store.Load(c.Instance)
	if errors.Is(err, fs.ErrNotExist) {
		return ocf.Status{State: ocf.Stopped}, nil
	}
	if err != nil {
		return ocf.Status{}, err
	}
	l, err := leaseOf(c, r)
	if err != nil {
		return ocf.Status{}, err
	}
	have, err := a.kernel.Table(ctx)
	if err != nil {
		return ocf.Status{}, err
	}
	status := judge(r, have, l)
	idle, down := l.unserved(r, have)
	switch {
	case status.State != ocf.Running:
	case healed: // what is idle has no real server that the daemon found good
		logDown(c, append(idle, down...))
	case len(idle) > 0:
		status = ocf.Status{State: ocf.Failed, Reason: fmt.Sprintf("no new connection to %s gets a real server, and no health daemon keeps them out", words(idle))}
	}
	return status, nil
}

// judge asks what start and stop would have to do. Destinations of claimed services
// are left out.
func judge(r record.Record, have lvs.Table, l lease) ocf.Status {
	start := lvs.Plan(r.Target().Yield(have, l.claims), have, r.Scope())
	stop := lvs.Plan(nil, have, r.Scope())
	switch lvs.Classify(len(start), len(stop)) {
	case lvs.Absent:
		return ocf.Status{State: ocf.Stopped, Reason: "none of the virtual services is in the kernel any more"}
	case lvs.Present:
		if r.State == record.Running && len(r.Services) > 0 {
			return ocf.Status{State: ocf.Running}
		}
		return ocf.Status{State: ocf.Failed, Reason: "a stop was interrupted"}
	case lvs.Partial:
	}
	reason := fmt.Sprintf("to do: %s", start[0])
	if len(start) > 1 {
		reason += fmt.Sprintf(" (and %d more)", len(start)-1)
	}
	return ocf.Status{State: ocf.Failed, Reason: reason}
}

// logForeign says what stands in the table of a node where the resource is
// not running: nothing touches it, and an operator may want to know.
func (a *Agent) logForeign(ctx context.Context, c ocf.Call) {
	if !c.Probe {
		return
	}
	if have, err := a.kernel.Table(ctx); err == nil && len(have) > 0 {
		c.Log.Infof("no record of this resource; the kernel has services of others, which stay: %v", have.IDs())
	}
}

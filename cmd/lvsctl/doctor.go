package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"

	"lvs-agents/crm/cib"
	"lvs-agents/internal/attribute"
	"lvs-agents/internal/config"
	"lvs-agents/internal/config/load"
	"lvs-agents/internal/control"
	"lvs-agents/internal/disk"
	"lvs-agents/internal/doctor"
	"lvs-agents/internal/host"
	"lvs-agents/internal/kernel/setting"
	"lvs-agents/internal/kernel/wire"
	"lvs-agents/internal/ledger"
	"lvs-agents/internal/lvs"
	"lvs-agents/internal/state"
	"lvs-agents/internal/state/record"
)

type doctorCommand struct {
	IPs    []string `arg:"" optional:"" name:"ip" help:"Virtual addresses. Default: the addresses that ocf:lvs:realserver or lvsrs has set up on this host."`
	Kernel bool     `help:"Print what the kernel has for IPVS, what the configuration needs, and known faults of kernels that concern it. Nothing is loaded or changed."`
	Config string   `placeholder:"FILE" help:"With --kernel: the configuration that is examined. Default: the records of the resources and daemons on this host."`
	Tunnel bool     `help:"Packets for the addresses arrive through tunnels (ipip, gue)."`

	Gateway string `placeholder:"IP" help:"Examine whether replies of this real server go through the director with this address (masq)."`
}

// Run prints the faults that this host has as a real server or as a director.
func (c doctorCommand) Run(ctx context.Context, sys system) error {
	if c.Kernel {
		return printKernel(ctx, sys, c.Config)
	}
	ctx, cancel := context.WithTimeout(ctx, examinationTime)
	defer cancel()
	settings, asDirector, err := c.realServer(ctx, sys)
	if err != nil {
		return err
	}
	directs := asDirector || isDirector(sys)
	if len(settings) == 0 && !directs && !inCluster(ctx, sys) {
		return errors.New("no realserver resource runs on this host, and it is not a director; start one, or give the virtual addresses")
	}
	list := []examination{{"the settings of a real server", func(ctx context.Context, sys system) ([]doctor.Finding, error) {
		return sys.doctor.Examine(ctx, settings)
	}}}
	list = append(list, ofDirector...)
	var hints []string
	if directs || len(settings) == 0 {
		list = append(list, ofCluster...)
		hints = hintsOf(ctx, sys)
	}
	findings, complete := examine(ctx, sys, append(list, ofKernel...))
	for _, f := range findings {
		fmt.Fprintf(sys.stdout, "%s\n    why: %s\n    fix: %s\n", f.What, f.Why, f.Fix)
	}
	for _, hint := range hints {
		fmt.Fprintf(sys.stderr, "lvsctl: hint: %s\n", hint)
	}
	if len(findings) > 0 || !complete {
		return errNo
	}
	fmt.Fprintln(sys.stdout, "fine")
	return nil
}

// hintsOf returns facts about a director that are not faults now, but can become faults.
func hintsOf(ctx context.Context, sys system) (hints []string) {
	state, err := sys.node.Clock()
	if err != nil {
		hints = append(hints, fmt.Sprintf("the clock of this director is not examined: adjtimex: %v", err))
	}
	for _, f := range append(doctor.ExamineClock(state), strangers(ctx, sys)...) {
		hints = append(hints, fmt.Sprint(f))
	}
	return hints
}

// strangers returns hints for the services of the kernel without an owner. On a host where no
// resource and no daemon has a record, another program manages all services, so it returns none.
func strangers(ctx context.Context, sys system) []doctor.Finding {
	store, err := record.In(sys.stateDir)
	if err != nil || !sys.director.Directs() { // A read of the table would load the module.
		return nil
	}
	table, err := sys.kernel.Table(ctx) // An examination reports an error of this read.
	if err != nil {
		return nil
	}
	records, damaged, err := store.Others("")
	if err != nil || len(damaged) > 0 || len(records) == 0 {
		return nil
	}
	owned := lvs.Scope{}
	for _, r := range records {
		maps.Copy(owned, r.Scope())
	}
	return doctor.ExamineStrangers(table, owned)
}

// realServer returns the settings of this host as a real server. With addresses on the command
// line, it returns the settings that the addresses need. Otherwise it returns the settings in the
// ledger of the realserver resources. directs reports whether the host is only a director for one
// of the addresses.
func (c doctorCommand) realServer(ctx context.Context, sys system) (settings []host.Setting, directs bool, err error) {
	ips, err := addresses(c.IPs)
	if err != nil {
		return nil, false, err
	}
	if c.Gateway != "" {
		gateways, err := addresses([]string{c.Gateway})
		if err != nil {
			return nil, false, err
		}
		return doctor.ByGateway(gateways[0]), false, nil
	}
	store, err := ledger.In(sys.stateDir, ledger.RealServer)
	if err != nil {
		return nil, false, err
	}
	l, err := store.Load()
	if err != nil && !errors.Is(err, state.ErrDamaged) {
		return nil, false, err
	}
	for _, e := range l.Entries {
		settings = append(settings, e.Setting)
	}
	if len(ips) == 0 {
		return settings, false, nil
	}
	real, err := realAddresses(ctx, sys, ips, settings)
	return doctor.ByHand(real, c.Tunnel), len(real) < len(ips), err
}

func addresses(words []string) ([]netip.Addr, error) {
	ips := make([]netip.Addr, 0, len(words))
	for _, word := range words {
		ip, err := netip.ParseAddr(word)
		if err != nil || ip.Zone() != "" {
			return nil, fmt.Errorf("%q is not an IPv4 or IPv6 address", word)
		}
		ips = append(ips, ip.Unmap())
	}
	return ips, nil
}

// examineTunnels returns the tunnels of the kernel's table that are too small for packets of
// clients.
func examineTunnels(ctx context.Context, sys system) ([]doctor.Finding, error) {
	if !sys.director.Directs() { // A read of the table would load the module.
		return nil, nil
	}
	table, err := sys.kernel.Table(ctx)
	if err != nil {
		return nil, err
	}
	// Servers that are down must not use up the time of the examination.
	limited, cancel := context.WithTimeout(ctx, examinationTime/2)
	defer cancel()
	return doctor.ExamineTunnels(ctx, sys.director, table, func(server netip.AddrPort, segment int) bool {
		wanted, ok := sys.director.Accepts(limited, server)
		return ok && wanted > 0 && wanted <= segment
	})
}

// examineSync returns the faults of connection synchronisation, if a sync resource runs here.
func examineSync(ctx context.Context, sys system) ([]doctor.Finding, error) {
	r, ok := syncResource(sys)
	if !ok {
		return nil, nil
	}
	findings, err := doctor.ExamineSync(ctx, sys.director, r.backup, r.ports)
	if err != nil {
		return nil, err
	}
	senders, deaf := sys.listen(ctx, r.backup, r.ports)
	findings = append(findings, doctor.ExamineSenders(r.backup, senders)...)
	shares, err := sys.attributes.All(ctx, "lvs-sync-"+r.id)
	if errors.Is(err, attribute.ErrNoCluster) {
		return findings, deaf
	}
	samples, wrong := sys.attributes.All(ctx, "lvs-connections-"+r.id)
	if err = cmp.Or(err, wrong); err != nil {
		return findings, errors.Join(deaf, err)
	}
	return append(findings, doctor.ExamineCoverage(r.id, shares, samples)...), deaf
}

// examineHash returns the mistakes in the hash services of the kernel's table, as lvsctl check
// returns them for a file. A director with synchronisation does not need sloppy_tcp.
func examineHash(ctx context.Context, sys system) ([]doctor.Finding, error) {
	if !sys.director.Directs() { // A read of the table would load the module.
		return nil, nil
	}
	table, err := sys.kernel.Table(ctx)
	if err != nil {
		return nil, err
	}
	sloppy, err := sys.director.Get(ctx, host.Setting{Kind: host.Sysctl, Name: "net/ipv4/vs/sloppy_tcp"})
	if err != nil {
		return nil, err
	}
	var cfg config.Config
	if _, synchronised := syncResource(sys); synchronised || sloppy == "1" {
		cfg.SloppyTCP = new(bool) // Nil is the mistake.
	}
	for _, v := range table {
		s := config.Service{Service: v.Service}
		for _, d := range v.Destinations {
			s.Reals = append(s.Reals, config.Real{Destination: d})
		}
		cfg.Services = append(cfg.Services, s)
	}
	var findings []doctor.Finding
	for _, p := range cfg.HashWarnings() {
		name, rest, _ := strings.Cut(p.What, ": ")
		what, why, _ := strings.Cut(rest, ": ")
		findings = append(findings, doctor.Finding{What: name + ": " + what, Why: why, Fix: p.Fix})
	}
	return findings, nil
}

// examinePair compares the health daemons on this director with what the other directors have
// published: the hash tables, the version and the configuration file.
func examinePair(ctx context.Context, sys system) ([]doctor.Finding, error) {
	ids, err := control.IDs(sys.stateDir)
	if err != nil || len(ids) == 0 {
		return nil, err
	}
	name, err := sys.output(ctx, "crm_node", "--name")
	if errors.Is(err, cib.ErrNotInstalled) || errors.Is(err, cib.ErrNotRunning) {
		return nil, nil
	}
	var findings []doctor.Finding
	errs := []error{unread("crm_node", err)}
	for _, id := range ids {
		snapshot, err := snapshotOf(ctx, sys.stateDir, id)
		// doctor leaves out a daemon that does not reply, because lvsctl status reports it.
		if err != nil || snapshot.Attribute == nil {
			continue
		}
		published, err := sys.attributes.All(ctx, attribute.HashTables(snapshot.Attribute.Name))
		findings = append(findings, doctor.ExamineHashTables(snapshot.HashTables, published)...)
		setups, wrong := sys.attributes.All(ctx, attribute.Setup(snapshot.Attribute.Name))
		errs = append(errs, err, wrong)
		findings = append(findings, doctor.ExamineSetups(strings.TrimSpace(name), snapshot.Config, setups)...)
	}
	return findings, errors.Join(errs...)
}

// examineFiles returns the configuration files that have changed since the health daemons and the
// ipvs resources on this host have read them.
func examineFiles(ctx context.Context, sys system) ([]doctor.Finding, error) {
	store, err := record.In(sys.stateDir)
	if err != nil {
		return nil, err
	}
	records, _, err := store.Others("") // Other commands report damaged records.
	if err != nil {
		return nil, err
	}
	var readings []doctor.Reading
	for _, r := range records {
		if r.File.Path != "" && r.State == record.Running { // Stop does not need the file.
			readings = append(readings, doctor.Reading{
				Who: "resource " + r.ID, Path: r.File.Path, Read: r.File.Digest,
				Reload: fmt.Sprintf("OCF_ROOT=/usr/lib/ocf OCF_RESOURCE_INSTANCE=%s OCF_RESKEY_config=%s /usr/lib/ocf/resource.d/lvs/ipvs reload-agent", r.ID, r.File.Path),
			})
		}
	}
	states, err := control.Summaries(ctx, sys.stateDir, queryLimit/2)
	for _, s := range states { // lvsctl status reports the daemons that do not reply.
		if s.Snapshot.Digest != "" && filepath.IsAbs(s.Snapshot.Config) {
			readings = append(readings, doctor.Reading{
				Who: "health daemon " + s.ID, Path: s.Snapshot.Config, Read: s.Snapshot.Digest, Reload: fmt.Sprintf("kill -HUP %d", s.Snapshot.PID), Refused: s.Snapshot.Refused,
			})
		}
	}
	errs := []error{err}
	now, failed := digests(ctx, sys, readings)
	known := readings[:0]
	for _, r := range readings {
		var read bool
		if r.Now, read = now[r.Path]; read {
			known = append(known, r)
		}
	}
	return doctor.ExamineReadings(known), errors.Join(append(errs, failed...)...)
}

// digests reads each file of the readings once, and returns the digests by the paths. The digest of
// a file that does not exist is empty.
func digests(ctx context.Context, sys system, readings []doctor.Reading) (now map[string]string, errs []error) {
	now = map[string]string{}
	tried := map[string]bool{}
	reader := &disk.Reader{Helper: sys.helper}
	for _, r := range readings {
		if tried[r.Path] {
			continue
		}
		tried[r.Path] = true
		text, err := reader.Read(ctx, r.Path)
		switch {
		case err == nil:
			now[r.Path] = load.Digest(text)
		case errors.Is(err, fs.ErrNotExist):
			now[r.Path] = ""
		case isLate(err):
			errs = append(errs, late{"the read of " + r.Path, "examine its file system: findmnt --target " + r.Path})
		default:
			errs = append(errs, err)
		}
	}
	return now, errs
}

// synchronisation is the sync resource of this director.
type synchronisation struct {
	id     string // id is the id of the resource, without the number of an instance.
	backup lvs.SyncDaemon
	ports  int
}

// syncResource returns the sync resource. ok is false if the ledger of this director has no backup
// daemon.
func syncResource(sys system) (r synchronisation, ok bool) {
	store, err := ledger.In(sys.stateDir, ledger.Director)
	if err != nil {
		return r, false
	}
	l, _ := store.Load() // If the ledger is damaged, l has its readable part.
	r.ports = 1
	for _, e := range l.Entries {
		switch {
		case e.Kind == host.SyncDaemon && e.Name == lvs.SyncBackup.String():
			r.backup, err = lvs.ParseSyncDaemon(e.Name + " " + e.Set)
			r.id, _, _ = strings.Cut(e.By[0], ":")
			ok = err == nil
		case e.Name == "net/ipv4/vs/sync_ports":
			r.ports, _ = strconv.Atoi(e.Set)
		}
	}
	return r, ok
}

// server has the methods of the kernel packages that the doctor needs for a real server and for a
// director.
type (
	server struct {
		settings
		wire.Kernel
		forwarder
	}
	settings = setting.Kernel
	// forwarder is the part of the kernel's IPVS that the doctor uses. The doctor reads the traffic
	// only if there are masq servers, because the read would load the module.
	forwarder interface {
		Forwards(v6 bool) bool
		Traffic(context.Context) ([]lvs.Traffic, error)
	}
)

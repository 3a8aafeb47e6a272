package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"

	"lvs-agents/crm/cib"
	"lvs-agents/internal/doctor"
	"lvs-agents/internal/host"
)

// isDirector reports whether this host balances connections, or receives them from another
// director.
func isDirector(sys system) bool {
	_, sync := syncResource(sys)
	return sync || sys.director.Directs()
}

// nameTime is how long crm_node can take before a host counts as a node of a cluster.
const nameTime = 2 * time.Second

// inCluster reports whether Pacemaker runs on this host. A director without the virtual address can
// have no service, and is still a director.
func inCluster(ctx context.Context, sys system) bool {
	ctx, cancel := context.WithTimeout(ctx, nameTime)
	defer cancel()
	_, err := sys.output(ctx, "crm_node", "--name")
	return !errors.Is(err, cib.ErrNotInstalled) && !errors.Is(err, cib.ErrNotRunning)
}

// node reads facts about this host for the questions about a director.
type node interface {
	Name() string
	Links() ([]doctor.Link, error)
	// Directory returns the state of the file system of a directory.
	Directory(path string) doctor.Directory
	// Lacks returns the agents of a list that are not installed.
	Lacks(agents []string) []string
	// Savers returns the commands that print the rules of the packet filters in use.
	Savers() []string
	// Owner returns the link-layer address of another host that answers ARP for an address.
	Owner(ctx context.Context, nic string, ip netip.Addr, wait time.Duration) (string, error)
	// Clock returns the result of adjtimex(2), for example unix.TIME_OK.
	Clock() (state int, err error)
}

// output is the output of a program.
type output struct {
	text string
	err  error
}

// outputs runs programs at the same time, for programTime at most, and returns their outputs by the
// first word of each command.
func outputs(ctx context.Context, sys system, commands ...string) map[string]output {
	ctx, cancel := context.WithTimeout(ctx, programTime)
	defer cancel()
	texts := make([]output, len(commands))
	var all sync.WaitGroup
	for i, command := range commands {
		all.Go(func() {
			words := strings.Fields(command)
			texts[i].text, texts[i].err = sys.output(ctx, words[0], words[1:]...)
		})
	}
	all.Wait()
	found := map[string]output{}
	for i, command := range commands {
		program, _, _ := strings.Cut(command, " ")
		found[program] = texts[i]
	}
	return found
}

// examineCluster returns the faults of this director and of its cluster.
func examineCluster(ctx context.Context, sys system) ([]doctor.Finding, error) {
	savers := sys.node.Savers()
	out := outputs(ctx, sys, append([]string{
		"crm_mon --one-shot --inactive --output-as=xml", "cibadmin --query", "crm_node --name", "corosync-cmapctl nodelist",
		"systemctl show --property=Id,ActiveState,UnitFileState " + strings.Join(doctor.Fighters(), " "),
	}, savers...)...)
	facts := doctor.Facts{Host: sys.node.Name(), State: sys.node.Directory(sys.stateDir), Rules: map[string]string{}}
	facts.Sysctl = func(name string) string {
		value, err := sys.director.Get(ctx, host.Setting{Kind: host.Sysctl, Name: name})
		if err != nil { // The kernel does not have every sysctl.
			return ""
		}
		return value
	}
	errs := readCluster(&facts, out)
	for _, command := range savers {
		program, _, _ := strings.Cut(command, " ")
		switch err := out[program].err; {
		case errors.Is(err, cib.ErrNotInstalled):
		case err != nil:
			errs = append(errs, unread(program, err))
		case program == "nft":
			errs = append(errs, facts.ReadNftables(out[program].text))
		default:
			facts.Rules[program] = out[program].text
		}
	}
	errs = append(errs, readNode(ctx, sys, &facts)...)
	differing, err := examineIdle(ctx, sys, facts)
	return append(doctor.Answer(facts), differing...), errors.Join(append(errs, err)...)
}

// readCluster reads the outputs of the programs of Pacemaker, Corosync and systemd.
func readCluster(facts *doctor.Facts, out map[string]output) (errs []error) {
	var silent []string
	switch mon := out["crm_mon"]; {
	case isLate(mon.err):
		silent = append(silent, "crm_mon")
	case errors.Is(mon.err, cib.ErrNotInstalled):
		return []error{absent("crm_mon is not installed; in a cluster, install pacemaker")}
	case errors.Is(mon.err, cib.ErrNotRunning):
		return []error{absent("Pacemaker does not run, or this user cannot connect to it; start pacemaker, or run lvsctl as root")}
	case mon.err != nil:
		errs = append(errs, unread("crm_mon", mon.err))
	default:
		errs = append(errs, facts.ReadMonitor(mon.text))
	}
	switch query := out["cibadmin"]; {
	case isLate(query.err):
		silent = append(silent, "cibadmin")
	case query.err != nil:
		errs = append(errs, unread("cibadmin", query.err))
	default:
		errs = append(errs, facts.ReadCIB(query.text))
	}
	if len(silent) > 0 {
		facts.Silent = fmt.Sprintf("%s did not reply within %s", strings.Join(silent, " and "), programTime)
	}
	facts.Node = strings.TrimSpace(out["crm_node"].text)
	facts.Peers = doctor.ParsePeers(out["corosync-cmapctl"].text, facts.Node)
	err := out["systemctl"].err
	if isLate(err) {
		return append(errs, unread("systemctl", err))
	}
	if err != nil { // Hosts without systemd have none of the units.
		return append(errs, absent(fmt.Sprintf("the units of systemd: systemctl: %v", err)))
	}
	facts.Units = out["systemctl"].text
	return errs
}

// unread returns the error of a program with its name, or nil.
func unread(program string, err error) error {
	switch {
	case err == nil:
		return nil
	case isLate(err):
		return late{program, look}
	}
	return fmt.Errorf("%s: %w", program, err)
}

// arpTime is how long a host can take to answer an ARP query.
const arpTime = 750 * time.Millisecond

// readNode reads the facts of this host.
func readNode(ctx context.Context, sys system, facts *doctor.Facts) (errs []error) {
	var err error
	facts.Links, err = sys.node.Links()
	errs = append(errs, err)
	facts.Lacking = sys.node.Lacks(facts.Agents())
	if sys.director.Directs() { // A read of the table would load the module.
		facts.Table, err = sys.kernel.Table(ctx)
		errs = append(errs, err)
	}
	facts.Owners = map[netip.Addr]string{}
	for _, v := range facts.VIPs() {
		places, err := sys.director.Addresses(ctx, v.IP)
		errs = append(errs, err)
		for _, at := range places {
			if at.Observed.Silent || ctx.Err() != nil {
				continue
			}
			if facts.Owners[v.IP], err = sys.node.Owner(ctx, at.NIC, v.IP, arpTime); err != nil {
				errs = append(errs, err)
			}
		}
	}
	return errs
}

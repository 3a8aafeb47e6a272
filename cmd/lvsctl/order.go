package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"lvs-agents/internal/control"
	"lvs-agents/internal/lvs"
	"lvs-agents/internal/suggest"
)

// target names the real servers of an order.
type target struct {
	Service string `arg:"" help:"The virtual service: ADDRESS:PORT, ADDRESS if it has one service, a firewall mark, or in ipvsadm syntax (-t ADDRESS:PORT)."`
	Real    string `arg:"" optional:"" help:"The real server: ADDRESS:PORT, or ADDRESS for all ports. Without it, all real servers of the service."`

	empty bool // empty says that the service can lack real servers.
}

// limits are the flags of orders that change weights.
type limits struct {
	For   time.Duration `help:"End the order after this time, for example 10m." placeholder:"TIME"`
	Force bool          `help:"Give the order even if no real server of the service serves afterwards. Without this flag, the daemon then refuses the order, and the exit code is 1."`
}

// scope is the flag that gives an order through the cluster.
type scope struct {
	On string `placeholder:"NODE" help:"Keep the order in the configuration of the cluster, for this node. With everywhere, for all nodes. The order then also counts after a reboot and after a take-over."`
}

type drainCommand struct {
	target
	scope
	limits
}

// Run gives the real server no new connections.
func (c drainCommand) Run(ctx context.Context, sys system) error {
	return orderRequest{target: c.target, scope: c.scope, limits: c.limits, order: control.Order{Kind: "drain"}}.give(ctx, sys)
}

type maintCommand struct {
	target
	scope
	limits
}

// Run gives the real server no new connections, and marks it as in maintenance.
func (c maintCommand) Run(ctx context.Context, sys system) error {
	return orderRequest{target: c.target, scope: c.scope, limits: c.limits, order: control.Order{Kind: "maint"}}.give(ctx, sys)
}

type weightCommand struct {
	Service string `arg:"" help:"The virtual service, as for drain."`
	Real    string `arg:"" help:"The real server, as for drain."`
	Weight  int    `arg:"" help:"The weight that replaces the configured weight."`
	scope
	limits
}

// Run replaces the configured weight of the real server.
func (c weightCommand) Run(ctx context.Context, sys system) error {
	if c.Weight < 0 || c.Weight > lvs.MaxWeight {
		return fmt.Errorf("weight %d is not between 0 and %d", c.Weight, lvs.MaxWeight)
	}
	t := target{Service: c.Service, Real: c.Real}
	holders, err := t.serving(ctx, sys)
	if err != nil {
		return err
	}
	r := orderRequest{target: t, scope: c.scope, limits: c.limits, order: control.Order{Kind: "weight", Weight: c.Weight}}
	if err := r.giveTo(ctx, sys, holders); err != nil {
		return err
	}
	if c.Weight > 0 {
		hintAtSchedulers(sys, holders)
	}
	return nil
}

// ignored is the hint about a scheduler that ignores weights.
func ignored(s lvs.Scheduler) string {
	return fmt.Sprintf("the scheduler %s ignores all weights except 0; use wrr or wlc", s)
}

// hintAtSchedulers prints a hint for each service whose scheduler ignores the weight of an order.
func hintAtSchedulers(sys system, holders []holder) {
	for _, h := range holders {
		if h.scheduler.IgnoresWeights() {
			fmt.Fprintf(sys.stderr, "lvsctl: hint: %s: %s\n", inert(h.service), ignored(h.scheduler))
		}
	}
}

type addCommand struct {
	Service string `arg:"" help:"The virtual service, as for drain."`
	Real    string `arg:"" help:"The address of the new real server: ADDRESS:PORT, or ADDRESS for the port of the service."`
	Gate    bool   `short:"g" xor:"forward" help:"Use direct routing. Without -g, -i and -m, use the forwarding method of the first real server."`
	IPIP    bool   `name:"ipip" short:"i" xor:"forward" help:"Use an IP-in-IP tunnel."`
	Masq    bool   `short:"m" xor:"forward" help:"Use network address translation (masquerading)."`
	Weight  int    `short:"w" default:"1" help:"The weight of the real server."`
	scope
	For time.Duration `help:"Remove the real server after this time, for example 10m." placeholder:"TIME"`
}

// Run adds a real server that the configuration does not have.
func (c addCommand) Run(ctx context.Context, sys system) error {
	if c.Weight < 0 || c.Weight > lvs.MaxWeight {
		return fmt.Errorf("weight %d is not between 0 and %d", c.Weight, lvs.MaxWeight)
	}
	holders, err := target{Service: c.Service, empty: true}.serving(ctx, sys)
	if err != nil {
		return err
	}
	order := control.Order{Kind: "add", Weight: c.Weight}
	for word, chosen := range map[string]bool{"gate": c.Gate, "ipip": c.IPIP, "masq": c.Masq} {
		if chosen {
			order.Forward = word
		}
	}
	addr := ""
	for i, h := range holders {
		if addr, err = addressOf(c.Real, h.service); err != nil {
			return err
		}
		holders[i].servers = []control.Real{{Addr: addr}}
	}
	r := orderRequest{target: target{Service: c.Service, Real: addr}, scope: c.scope, limits: limits{For: c.For}, order: order}
	if err := r.giveTo(ctx, sys, holders); err != nil {
		return err
	}
	if c.Weight > 1 {
		hintAtSchedulers(sys, holders)
	}
	return nil
}

// addressOf returns the address of a real server for a service. Without a port, it gets the port of
// the service.
func addressOf(text, service string) (string, error) {
	if addr, err := netip.ParseAddrPort(text); err == nil {
		return netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port()).String(), nil
	}
	addr, err := netip.ParseAddr(strings.Trim(text, "[]"))
	if err != nil {
		return "", fmt.Errorf("real server %q is neither ADDRESS:PORT nor ADDRESS", text)
	}
	op, err := lvs.ParseOp("-A " + service)
	if err != nil {
		return "", err
	}
	return netip.AddrPortFrom(addr.Unmap(), op.Service.ID.Addr.Port()).String(), nil
}

type removeCommand struct {
	Service string `arg:"" help:"The virtual service, as for drain."`
	Real    string `arg:"" help:"The real server, as for drain."`
	scope
	For   time.Duration `help:"End the order after this time, for example 10m." placeholder:"TIME"`
	Force bool          `help:"Remove the real server even if it has open connections, or if no real server of the service serves afterwards. Without this flag, lvsctl then refuses the order, and the exit code is 1."`
}

// Run takes the real server out of the table. Without Force, it must have no open connections.
func (c removeCommand) Run(ctx context.Context, sys system) error {
	t := target{Service: c.Service, Real: c.Real}
	holders, err := t.serving(ctx, sys)
	if err != nil {
		return err
	}
	if !c.Force {
		if err := unused(ctx, sys, holders); err != nil {
			return err
		}
	}
	r := orderRequest{target: t, scope: c.scope, limits: limits{c.For, c.Force}, order: control.Order{Kind: "remove"}}
	others := false
	for _, h := range holders {
		for _, real := range h.servers {
			at := slices.IndexFunc(real.Orders, func(o control.Order) bool { return o.Kind == "add" })
			switch {
			case at < 0:
				others = true
			case c.On != "" && !real.Orders[at].Cluster:
				return fmt.Errorf("real server %s of %s was added only for this node; remove it without --on", real.Addr, h.service)
			default:
				r.leaves = true
			}
		}
	}
	if r.leaves && others {
		return fmt.Errorf("%s names real servers of the configuration and added real servers; write ADDRESS:PORT", c.Real)
	}
	return r.giveTo(ctx, sys, holders)
}

// unused returns an error if one of the real servers has open connections on this node.
func unused(ctx context.Context, sys system, holders []holder) error {
	connections, err := countersOf(ctx, sys)
	if err != nil {
		return err
	}
	for _, h := range holders {
		for _, real := range h.servers {
			if open := openOf(connections, connection{h.service, real.Addr}); open > 0 {
				return fmt.Errorf("real server %s of %s has %d open connections; first run lvsctl drain %[2]s %[1]s and lvsctl wait drained %[2]s %[1]s, or use --force",
					real.Addr, h.service, open)
			}
		}
	}
	return nil
}

type undrainCommand struct {
	target
	scope
}

// Run ends a drain, maint or remove.
func (c undrainCommand) Run(ctx context.Context, sys system) error {
	return orderRequest{target: c.target, scope: c.scope, order: control.Order{Kind: "undrain"}}.give(ctx, sys)
}

type readyCommand struct {
	target
	scope
}

// Run ends all orders for the real server.
func (c readyCommand) Run(ctx context.Context, sys system) error {
	return orderRequest{target: c.target, scope: c.scope, order: control.Order{Kind: "ready"}}.give(ctx, sys)
}

// orderRequest is an order with everything that the command line says about it.
type orderRequest struct {
	target
	scope
	limits
	order control.Order
	// leaves says that the order removes a real server that an operator has added.
	leaves bool
}

// give gives the order to every daemon of this node that has the service, or to the cluster.
func (r orderRequest) give(ctx context.Context, sys system) error {
	holders, err := r.serving(ctx, sys)
	if err != nil {
		return err
	}
	return r.giveTo(ctx, sys, holders)
}

// giveTo gives the order to daemons, or to the cluster.
func (r orderRequest) giveTo(ctx context.Context, sys system, holders []holder) (err error) {
	if r.For < 0 {
		return fmt.Errorf("--for %s is not a time in the future", r.For)
	}
	r.order.By = cmp.Or(os.Getenv("SUDO_USER"), "root")
	if r.For > 0 {
		r.order.Until = sys.now().Add(r.For)
	}
	for _, h := range holders {
		err = errors.Join(err, r.send(ctx, sys, h))
	}
	if err != nil || r.On == "" {
		return err
	}
	return r.giveCluster(ctx, sys, holders)
}

// send gives the order to one daemon. An order for the cluster is only examined.
func (r orderRequest) send(ctx context.Context, sys system, h holder) error {
	c := control.Command{Service: h.service, Order: r.order, Force: r.Force, Dry: r.On != ""}
	for _, real := range h.servers {
		if r.Real != "" {
			c.Servers = append(c.Servers, real.Addr)
		}
	}
	limited, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	return control.Give(limited, sys.stateDir, h.daemon, c)
}

// holder is a daemon that has the service of a target.
type holder struct {
	daemon  string
	service string // service is the service as in the status.
	// scheduler is the scheduler of the service.
	scheduler lvs.Scheduler
	servers   []control.Real // servers are the real servers of the target.
}

func holderOf(daemon string, s control.Service) holder {
	return holder{daemon, s.ID, lvs.Scheduler(s.Scheduler), s.Reals}
}

// serving is find with another error for a node without a daemon. The error names the nodes that
// have one.
func (t target) serving(ctx context.Context, sys system) ([]holder, error) {
	holders, err := t.find(ctx, sys)
	if errors.Is(err, errNoDaemon) {
		return nil, noOrder(ctx, sys)
	}
	return holders, err
}

// find returns the daemons of this node that have the service and the real server. A daemon that
// does not reply matters only if no other daemon has them.
func (t target) find(ctx context.Context, sys system) (holders []holder, err error) {
	ids, err := control.IDs(sys.stateDir)
	if err != nil {
		return nil, err
	}
	if len(ids) == 0 {
		return nil, errNoDaemon
	}
	var silent error
	var services, reals []string
	for _, id := range ids {
		snapshot, err := snapshotOf(ctx, sys.stateDir, id)
		if err != nil {
			silent = errors.Join(silent, err)
			continue
		}
		service, err := control.Filter{Service: t.Service, Server: t.Real}.Select(snapshot)
		if err != nil {
			return nil, unknownName(err.Error())
		}
		if len(service.Reals) > 0 || t.empty && service.ID != "" {
			holders = append(holders, holderOf(id, service))
		}
		for _, s := range snapshot.Services {
			services = append(services, s.ID, s.ID[strings.LastIndex(s.ID, " ")+1:])
			for _, real := range s.Reals {
				if s.ID == service.ID {
					reals = append(reals, real.Addr, strings.Trim(real.Addr[:strings.LastIndex(real.Addr, ":")], "[]"))
				}
			}
		}
	}
	switch {
	case len(holders) > 0:
		return holders, nil
	case silent != nil:
		return nil, silent
	case len(reals) > 0:
		return nil, unknownName(fmt.Sprintf("service %s has no real server %s%s", inert(t.Service), inert(t.Real), suggest.Hint(t.Real, reals)))
	}
	return nil, unknownName(fmt.Sprintf("no health daemon on this node has the service %s%s", inert(t.Service), suggest.Hint(t.Service, services)))
}

// unknownName is the error for a service or a real server that no daemon has.
type unknownName string

func (e unknownName) Error() string { return string(e) }

// withServices joins each service in ipvsadm syntax to one word, and puts a blank before it. So the
// parser does not read -t as an option of lvsctl.
func withServices(args []string) []string {
	options := map[string]bool{"-t": true, "-u": true, "-f": true, "--sctp-service": true}
	var joined []string
	for i := 0; i < len(args); i++ {
		option, _, inOneWord := strings.Cut(args[i], " ")
		switch {
		case options[option] && inOneWord:
			joined = append(joined, " "+args[i])
		case options[option] && i+1 < len(args):
			joined = append(joined, " "+option+" "+args[i+1])
			i++
		default:
			joined = append(joined, args[i])
		}
	}
	return joined
}

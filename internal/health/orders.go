package health

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"lvs-agents/internal/control"
	"lvs-agents/internal/lvs"
	"lvs-agents/internal/policy"
)

// orders are the orders of operators by the real server. The orders for a real server are sorted by
// their begin.
type orders map[Member][]control.Order

// The kinds of commands that only end orders.
const (
	undrain = "undrain" // undrain ends drain, maint and remove.
	ready   = "ready"   // ready ends all orders.
)

// drains are the kinds of orders that keep new connections from a real server.
var drains = []policy.Kind{policy.Drain, policy.Maint, policy.Remove}

// Order carries out an operator's command. It returns nil after the command is stored and the
// kernel has the new weights.
func (d *Daemon) Order(ctx context.Context, c control.Command) error {
	return d.change(ctx, func(own context.Context) error {
		d.expire(own)
		now := time.Now()
		c.Order.Since = now
		if err := possible(c.Order); err != nil {
			return err
		}
		i, targets, err := d.targets(c)
		if err != nil {
			return err
		}
		if c.Order.Kind == add {
			if err := d.addable(i, targets, c.Order); err != nil {
				return err
			}
		}
		after := d.orders.at(now)
		for _, m := range targets {
			after.set(m, c.Order)
			if stays := d.clusters(after[m], m, c); stays != nil && !c.Dry {
				return stays
			}
		}
		if !ends(c.Order) && c.Order.Kind != add && !c.Force && d.serves(i, d.orders) && !d.serves(i, after) {
			return fmt.Errorf("after %s, no real server of %s serves; use --force to do it anyway", c.Order.Kind, c.Service)
		}
		if c.Dry {
			return nil
		}
		for _, m := range targets {
			if _, added := d.added[m]; added && c.Order.Kind == string(policy.Remove) {
				after.forget(m)
			}
		}
		if err := d.save(after); err != nil {
			return fmt.Errorf("the order cannot be stored, so it has no effect: %w", err)
		}
		d.orders = after
		d.options.Log.Infof("order: %s", c)
		d.noteOrder(i, c)
		d.enroll(own)
		d.decideAll()
		return nil
	})
}

// noteOrder reports an order: an event for each named real server, or one for all of the service.
func (d *Daemon) noteOrder(i int, c control.Command) {
	e := d.event(OrderGiven, &d.setup.Services[i])
	e.By, e.Reason = c.Order.By, c.Order.String()
	if len(c.Servers) == 0 {
		d.options.occurred(e)
	}
	for _, server := range c.Servers {
		e.Server = netip.MustParseAddrPort(server) // targets has parsed the server
		d.options.occurred(e)
	}
}

// possible returns an error for an order that no daemon can carry out.
func possible(o control.Order) error {
	weighs := o.Kind == string(policy.Weigh) || o.Kind == add
	switch {
	case !weighs && !ends(o) && !slices.Contains(drains, policy.Kind(o.Kind)):
		return fmt.Errorf("unknown order %q; this directord knows add, drain, maint, remove, weight, undrain and ready", o.Kind)
	case weighs && (o.Weight < 0 || o.Weight > lvs.MaxWeight):
		return fmt.Errorf("weight %d is not between 0 and %d", o.Weight, lvs.MaxWeight)
	case !o.Until.IsZero() && !o.Until.After(o.Since):
		return fmt.Errorf("the order would end at %s, which is in the past", o.Until.Format(time.RFC3339))
	}
	return nil
}

// ends reports whether an order only ends other orders.
func ends(o control.Order) bool { return o.Kind == undrain || o.Kind == ready }

// targets returns the index of the service of a command, and its real servers.
func (d *Daemon) targets(c control.Command) (service int, targets []Member, err error) {
	i := slices.IndexFunc(d.setup.Services, func(s Service) bool { return s.ID.String() == c.Service })
	if i < 0 {
		return 0, nil, fmt.Errorf("the configuration has no service %s", c.Service)
	}
	s := d.setup.Services[i]
	for _, server := range c.Servers {
		addr, err := netip.ParseAddrPort(server)
		if _, known := d.standing[i].index[addr]; err != nil || !known && c.Order.Kind != add {
			return 0, nil, fmt.Errorf("service %s has no real server %s", c.Service, server)
		}
		targets = append(targets, Member{s.ID, addr})
	}
	if len(c.Servers) == 0 {
		for _, real := range s.Reals {
			targets = append(targets, Member{s.ID, real.Addr})
		}
	}
	return i, targets, nil
}

// serves reports whether a real server of a service would get connections with other orders.
func (d *Daemon) serves(i int, other orders) bool {
	now := d.orders
	defer func() { d.orders = now }()
	d.orders = other
	service := d.setup.Services[i]
	decision, _ := service.rules().Decide(d.input(i), d.memory[service.ID])
	return slices.ContainsFunc(decision.Servers, func(p policy.Place) bool { return p.Weight > 0 })
}

func (d *Daemon) save(o orders) error {
	if d.options.SaveOrders == nil {
		return nil
	}
	return d.options.SaveOrders(o.commands())
}

// Obey replaces the orders that the cluster has for this node.
func (d *Daemon) Obey(ctx context.Context, cluster []control.Command) error {
	return d.change(ctx, func(own context.Context) error {
		d.expire(own)
		now := time.Now()
		after := d.orders.at(now)
		for m, all := range after {
			after[m] = slices.DeleteFunc(all, func(o control.Order) bool { return o.Cluster })
		}
		err := after.add(cluster)
		if err := errors.Join(err, d.save(after)); err != nil {
			d.options.Log.Errorf("orders of the cluster: %v", err)
		}
		d.orders = after.at(now)
		d.supersede()
		d.enroll(own)
		d.decideAll()
		return nil
	})
}

// set gives an order to a real server. The order ends earlier orders of its kind, except orders of
// the cluster, which only the cluster ends.
func (o orders) set(m Member, order control.Order) {
	after := slices.DeleteFunc(slices.Clone(o[m]), func(b control.Order) bool { return b.Cluster == order.Cluster && replaces(order, b) })
	if !ends(order) {
		after = append(after, order)
	}
	slices.SortStableFunc(after, func(a, b control.Order) int { return a.Since.Compare(b.Since) })
	o.replace(m, after)
}

// replaces reports whether a new order for a real server ends another order.
func replaces(order, before control.Order) bool {
	const weigh = string(policy.Weigh)
	if order.Kind == add || before.Kind == add {
		return order.Kind == before.Kind
	}
	return order.Kind == ready || (order.Kind == weigh) == (before.Kind == weigh)
}

// clusters returns an error if a command would end an order of the cluster for the real server m.
func (d *Daemon) clusters(left []control.Order, m Member, c control.Command) error {
	_, added := d.added[m]
	leaves := added && c.Order.Kind == string(policy.Remove)
	for _, o := range left {
		if o.Cluster && (leaves && o.Kind == add || ends(c.Order) && replaces(c.Order, o)) {
			return fmt.Errorf("the order %s stays, because it is an order of the cluster; end it with --on", o)
		}
	}
	return nil
}

// at returns a copy of the orders that have not ended.
func (o orders) at(now time.Time) orders {
	left := orders{}
	for m := range o {
		if all := o.of(m, now); len(all) > 0 {
			left[m] = all
		}
	}
	return left
}

// of returns the orders for a real server that have not ended.
func (o orders) of(m Member, now time.Time) []control.Order {
	return slices.DeleteFunc(slices.Clone(o[m]), func(o control.Order) bool { return !o.Until.IsZero() && !now.Before(o.Until) })
}

// drained reports whether an order keeps new connections from a real server.
func (o orders) drained(m Member, now time.Time) bool {
	return slices.ContainsFunc(o.policy(m), func(o policy.Order) bool { return slices.Contains(drains, o.Kind) && o.Active(now) })
}

// policy returns the orders for a real server in the form of package policy.
func (o orders) policy(m Member) (all []policy.Order) {
	for _, order := range o[m] {
		all = append(all, policy.Order{Kind: policy.Kind(order.Kind), Weight: order.Weight, By: order.By, Since: order.Since, Until: order.Until})
	}
	return all
}

// members returns the real servers that have orders, sorted by service and server.
func (o orders) members() []Member {
	return slices.SortedFunc(maps.Keys(o), func(a, b Member) int {
		return cmp.Or(a.Service.Compare(b.Service), a.Server.Compare(b.Server))
	})
}

// commands returns the commands that give the orders.
func (o orders) commands() []control.Command {
	var all []control.Command
	for _, m := range o.members() {
		for _, order := range o[m] {
			all = append(all, control.Command{Service: m.Service.String(), Servers: []string{m.Server.String()}, Order: order})
		}
	}
	return all
}

// ordersOf returns the orders of stored commands that have not ended. The error names the commands
// that it cannot read.
func ordersOf(commands []control.Command) (orders, error) {
	all := orders{}
	err := all.add(commands)
	return all.at(time.Now()), err
}

// add gives the orders of commands. The error names the commands that it cannot read.
func (o orders) add(commands []control.Command) (unread error) {
	for _, c := range commands {
		for _, server := range c.Servers {
			m, err := memberOf(c.Service, server)
			if err != nil {
				unread = errors.Join(unread, fmt.Errorf("the order %s does not count: %w", c, err))
				continue
			}
			o.set(m, c.Order)
		}
	}
	return unread
}

func memberOf(service, server string) (m Member, err error) {
	op, err := lvs.ParseOp("-A " + service)
	if err != nil {
		return m, err
	}
	m.Service = op.Service.ID
	m.Server, err = netip.ParseAddrPort(server)
	return m, err
}

// idle logs the orders that have no effect, because the configuration lacks their real servers.
func (d *Daemon) idle() {
	for _, m := range d.orders.at(time.Now()).members() {
		s := d.services[m.Service]
		if s == nil && d.orders[m][0].Kind == add {
			d.options.Log.Warnf("the real server %s is not added, because the configuration lacks the service %s", m.Server, m.Service)
			continue
		}
		if s == nil || !slices.ContainsFunc(s.Reals, func(r Real) bool { return r.Addr == m.Server }) {
			d.options.Log.Warnf("the order %s has no effect, because the configuration lacks this real server; the order counts again when the configuration has it",
				control.Command{Service: m.Service.String(), Servers: []string{m.Server.String()}, Order: d.orders[m][0]})
		}
	}
}

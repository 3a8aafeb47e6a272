package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"lvs-agents/internal/control"
	"lvs-agents/internal/suggest"
)

// everywhere is the name of all nodes in --on.
const everywhere = "everywhere"

// memory keeps permanent attributes of the nodes of the cluster.
type memory interface {
	// Name returns the name of this node.
	Name(ctx context.Context) (string, error)
	// Kept returns the attributes whose name begins with prefix, by the name of the node.
	Kept(ctx context.Context, prefix string) (map[string]map[string]string, error)
	Keep(ctx context.Context, node, name, value string) error
	Forget(ctx context.Context, node, name string) error
}

// giveCluster keeps the order in the configuration of the cluster. The daemons of the nodes read it
// there. If the order is for this node, giveCluster waits until the daemons of this node have it.
func (r orderRequest) giveCluster(ctx context.Context, sys system, holders []holder) error {
	kept, err := sys.memory.Kept(ctx, control.OrderAttribute)
	if err != nil {
		return err
	}
	nodes := slices.Sorted(maps.Keys(kept))
	if r.On != everywhere {
		if _, known := kept[r.On]; !known {
			return fmt.Errorf("the cluster has no node %s%s", inert(r.On), suggest.Hint(r.On, append(nodes, everywhere)))
		}
		nodes = []string{r.On}
	}
	err = tidy(ctx, sys, kept)
	r.order.Since = sys.now()
	for _, node := range nodes {
		if failed := r.keep(ctx, sys, node, holders); failed != nil {
			err = errors.Join(err, fmt.Errorf("node %s does not have the order: %w", node, failed))
		}
	}
	own, unnamed := sys.memory.Name(ctx)
	if err = errors.Join(err, unnamed); err != nil || !slices.Contains(nodes, own) {
		return err
	}
	return r.follow(ctx, sys)
}

// keep sets or removes the attributes of one node for all real servers of the order.
func (r orderRequest) keep(ctx context.Context, sys system, node string, holders []holder) (err error) {
	for _, h := range holders {
		for _, real := range h.servers {
			c := control.Command{Service: h.service, Servers: []string{real.Addr}, Order: r.order}
			for _, name := range r.attributes(c) {
				if r.ends() {
					err = errors.Join(err, sys.memory.Forget(ctx, node, name))
				} else {
					err = errors.Join(err, sys.memory.Keep(ctx, node, name, c.Words()))
				}
			}
		}
	}
	return err
}

// tidy removes the attributes of orders that ended an hour ago.
func tidy(ctx context.Context, sys system, kept map[string]map[string]string) (err error) {
	for node, attributes := range kept {
		for name, value := range attributes {
			c, failed := control.ParseWords(value)
			if failed == nil && !c.Order.Until.IsZero() && sys.now().Sub(c.Order.Until) > time.Hour {
				err = errors.Join(err, sys.memory.Forget(ctx, node, name))
			}
		}
	}
	return err
}

// ends reports whether the order only ends other orders.
func (r orderRequest) ends() bool {
	return r.leaves || r.order.Kind == "undrain" || r.order.Kind == "ready"
}

// attributes returns the names of the attributes that a command sets or removes.
func (r orderRequest) attributes(c control.Command) []string {
	if !r.leaves {
		return c.Attributes()
	}
	c.Order.Kind = "add"
	names := c.Attributes()
	c.Order.Kind = "ready"
	return append(names, c.Attributes()...)
}

// follow waits until the daemons of this node have read the order.
func (r orderRequest) follow(ctx context.Context, sys system) error {
	limited, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		holders, err := r.find(limited, sys)
		_, unknown := errors.AsType[unknownName](err)
		if err == nil && r.followed(holders) || unknown && r.leaves {
			return nil
		}
		select {
		case <-time.After(pollPeriod / 5):
		case <-limited.Done():
			return errors.Join(ctx.Err(), errors.New("the cluster has the order, but the health daemon of this node has not read it; see its log"))
		}
	}
}

// followed reports whether the daemons have the order, or have no order that it ends.
func (r orderRequest) followed(holders []holder) bool {
	for _, h := range holders {
		for _, real := range h.servers {
			c := control.Command{Service: h.service, Servers: []string{real.Addr}, Order: r.order}
			same := func(o control.Order) bool {
				other := control.Command{Service: h.service, Servers: c.Servers, Order: o}
				if r.ends() {
					return o.Cluster && slices.Contains(r.attributes(c), other.Attributes()[0])
				}
				return o.Cluster && other.Words() == c.Words()
			}
			if slices.ContainsFunc(real.Orders, same) == r.ends() {
				return false
			}
		}
	}
	return true
}

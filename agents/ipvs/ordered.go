package ipvs

import (
	"context"
	"time"

	"lvs-agents/internal/control"
	"lvs-agents/ocf"
)

// Attributes reads the permanent attributes of the nodes of a cluster.
type Attributes interface {
	Name(ctx context.Context) (string, error)
	Kept(ctx context.Context, prefix string) (map[string]map[string]string, error)
}

// Obey makes Start and Monitor give weight 0 to real servers that operators have drained through
// the cluster. An order that has ended at now does not count.
func (a *Agent) Obey(attributes Attributes, now time.Time) { a.attributes, a.now = attributes, now }

// ordersTime is how long an action waits for the orders of the cluster.
const ordersTime = 5 * time.Second

// drained returns the real servers that orders of the cluster keep from new connections. A health
// daemon reads the same orders, but in a group it starts after the address.
func (a *Agent) drained(ctx context.Context, c ocf.Call) map[string]bool {
	if a.attributes == nil || !c.Pacemaker {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, ordersTime)
	defer cancel()
	node, err := a.attributes.Name(ctx)
	var kept map[string]map[string]string
	if err == nil {
		kept, err = a.attributes.Kept(ctx, control.OrderAttribute)
	}
	if err != nil {
		c.Log.Warnf("the orders of the cluster are unknown, so drained real servers can get connections until a health daemon runs: %v", err)
	}
	servers := map[string]bool{}
	for _, words := range kept[node] {
		command, err := control.ParseWords(words)
		if err != nil {
			continue // The health daemon reports it.
		}
		o := command.Order
		if o.Withholds() && (o.Until.IsZero() || a.now.Before(o.Until)) {
			servers[command.Service+" -r "+command.Servers[0]] = true
		}
	}
	return servers
}

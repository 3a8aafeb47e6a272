package control

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// Order is an operator's order for a real server.
type Order struct {
	Kind   string    `json:"kind"`             // Kind is drain, maint or weight. In a Command, it can also be undrain or ready.
	Weight int       `json:"weight,omitempty"` // Weight is for the kind weight.
	By     string    `json:"by,omitempty"`     // By is the user who gave the order.
	Since  time.Time `json:"since,omitzero"`   // Since is when the daemon accepted the order. The daemon sets it.
	Until  time.Time `json:"until,omitzero"`   // Until is the end of the order. Zero means that the order has no end.
}

// String returns the order in words.
func (o Order) String() string {
	text := o.Kind
	if o.Kind == "weight" {
		text = fmt.Sprintf("weight %d", o.Weight)
	}
	text += " by " + o.By
	if !o.Since.IsZero() {
		text += " since " + o.Since.Format(time.RFC3339)
	}
	if !o.Until.IsZero() {
		text += " until " + o.Until.Format(time.RFC3339)
	}
	return text
}

// Command gives an order to real servers of one service.
type Command struct {
	Service string   `json:"service"`           // Service is the service as in a Snapshot.
	Servers []string `json:"servers,omitempty"` // Servers are addresses as in a Snapshot. Empty means all real servers of the service.
	Order   Order    `json:"order"`
	// Force carries the order out even if no real server serves afterwards.
	Force bool `json:"force,omitempty"`
}

// String returns the command in words.
func (c Command) String() string {
	servers := "all real servers"
	if len(c.Servers) > 0 {
		servers = strings.Join(c.Servers, " ")
	}
	return fmt.Sprintf("%s for %s of %s", c.Order, servers, c.Service)
}

// Give makes a daemon carry out a command. It returns nil after the daemon has stored the order and
// the kernel has the new weights.
func Give(ctx context.Context, stateDir, id string, c Command) error {
	return call(ctx, stateDir, id, question{name: requestOrder, arguments: c})
}

// Select returns the service and the real servers of a daemon that a filter names. service is empty
// if the daemon does not have the service, and servers is empty if the service lacks them.
func (f Filter) Select(s Snapshot) (service string, servers []Real, err error) {
	if f, err = f.normal(); err != nil {
		return "", nil, err
	}
	for _, candidate := range s.Services {
		if !(Filter{Service: f.Service}).passes(Event{Service: candidate.ID}) {
			continue
		}
		if service != "" {
			return "", nil, fmt.Errorf("%s names %q and %q; write one of them", f.Service, service, candidate.ID)
		}
		service = candidate.ID
		for _, real := range candidate.Reals {
			if f.passes(Event{Service: candidate.ID, Server: real.Addr}) {
				servers = append(servers, real)
			}
		}
	}
	return service, servers, nil
}

package control

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Order is an operator's order for a real server.
type Order struct {
	// Kind is drain, maint, remove, weight or add. In a Command, it can also be undrain or ready.
	Kind   string `json:"kind"`
	Weight int    `json:"weight,omitempty"` // Weight is for the kinds weight and add.
	// Forward is for the kind add: gate, masq, ipip, gue or gre. Empty means the forwarding method of
	// the first real server.
	Forward string    `json:"forward,omitempty"`
	By      string    `json:"by,omitempty"`   // By is the user who gave the order.
	Since   time.Time `json:"since,omitzero"` // Since is when the daemon accepted the order. The daemon sets it.
	Until   time.Time `json:"until,omitzero"` // Until is the end of the order. Zero means that the order has no end.
	// Cluster says that the order is in the configuration of the cluster, for this node.
	Cluster bool `json:"cluster,omitempty"`
}

// String returns the order in words.
func (o Order) String() string {
	text := o.Kind
	switch o.Kind {
	case "weight":
		text = fmt.Sprintf("weight %d", o.Weight)
	case "add":
		text = "added"
	}
	text += " by " + o.By
	if !o.Since.IsZero() {
		text += " since " + o.Since.Local().Format(time.DateTime)
	}
	if !o.Until.IsZero() {
		text += " until " + o.Until.Local().Format(time.DateTime)
	}
	if o.Cluster {
		text += " in the cluster"
	}
	return text
}

// Withholds reports whether the order keeps new connections from a real server.
func (o Order) Withholds() bool {
	return slices.Contains([]string{"drain", "maint", "remove"}, o.Kind) || o.Kind == "weight" && o.Weight == 0
}

// Command gives an order to real servers of one service.
type Command struct {
	Service string   `json:"service"`           // Service is the service as in a Snapshot.
	Servers []string `json:"servers,omitempty"` // Servers are addresses as in a Snapshot. Empty means all real servers of the service.
	Order   Order    `json:"order"`
	// Force carries the order out even if no real server serves afterwards.
	Force bool `json:"force,omitempty"`
	// Dry only returns the error that the daemon has for the order.
	Dry bool `json:"dry,omitempty"`
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

// Select returns the service that a filter names, with only the real servers that the filter names.
// Its ID is empty if the daemon does not have the service.
func (f Filter) Select(s Snapshot) (service Service, err error) {
	if f, err = f.normal(); err != nil {
		return service, err
	}
	for _, candidate := range s.Services {
		if !(Filter{Service: f.Service}).passes(Event{Service: candidate.ID}) {
			continue
		}
		if service.ID != "" {
			return Service{}, fmt.Errorf("%s names %q and %q; write one of them", f.Service, service.ID, candidate.ID)
		}
		service = candidate
		service.Reals = nil
		for _, real := range candidate.Reals {
			if f.passes(Event{Service: candidate.ID, Server: real.Addr}) {
				service.Reals = append(service.Reals, real)
			}
		}
	}
	return service, nil
}

// OrderAttribute begins the names of the permanent node attributes with the orders of the cluster.
const OrderAttribute = "lvs-order-"

// Attributes returns the names of the node attributes that a command for one real server sets or
// removes.
func (c Command) Attributes() (names []string) {
	kinds := map[string][]string{"weight": {"weight"}, "add": {"add"}, "ready": {"drain", "weight"}}[c.Order.Kind]
	if kinds == nil {
		kinds = []string{"drain"} // maint and remove replace drain, and undrain ends all three
	}
	place := strings.Map(func(r rune) rune {
		if r == '.' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' {
			return r
		}
		return '_'
	}, c.Service+" "+c.Servers[0])
	for _, kind := range kinds {
		names = append(names, OrderAttribute+kind+place)
	}
	return names
}

// Words returns a command for one real server as the value of a node attribute. It has no quotes,
// because tools of the cluster print the value.
func (c Command) Words() string {
	until := "-"
	if !c.Order.Until.IsZero() {
		until = c.Order.Until.UTC().Format(time.RFC3339)
	}
	kind := c.Order.Kind
	if c.Order.Forward != "" {
		kind += "-" + c.Order.Forward
	}
	return fmt.Sprintf("%s %d %s %s %s %s %s", kind, c.Order.Weight, c.Order.Since.UTC().Format(time.RFC3339), until, url.QueryEscape(c.Order.By), c.Service, c.Servers[0])
}

// ParseWords returns the command of an attribute.
func ParseWords(text string) (c Command, err error) {
	words := strings.Fields(text)
	if len(words) < 7 {
		return c, fmt.Errorf("%q is not an order", text)
	}
	service := words[5 : len(words)-1]
	c = Command{Service: strings.Join(service, " "), Servers: words[len(words)-1:], Order: Order{Cluster: true}}
	c.Order.Kind, c.Order.Forward, _ = strings.Cut(words[0], "-")
	var errs [4]error
	c.Order.Weight, errs[0] = strconv.Atoi(words[1])
	c.Order.Since, errs[1] = time.Parse(time.RFC3339, words[2])
	if words[3] != "-" {
		c.Order.Until, errs[2] = time.Parse(time.RFC3339, words[3])
	}
	c.Order.By, errs[3] = url.QueryUnescape(words[4])
	if err := errors.Join(errs[:]...); err != nil {
		return c, fmt.Errorf("%q is not an order: %w", text, err)
	}
	return c, nil
}

package lvs

import (
	"cmp"
	"fmt"
	"io/fs"
	"net/netip"
	"slices"
)

// Verb is the kind of change that an Op makes.
type Verb uint8

// The verbs, in their usual order in a plan.
const (
	AddService Verb = iota + 1
	EditService
	AddDestination
	EditDestination
	DeleteDestination
	DeleteService
)

// Op is one change of an IPVS table.
type Op struct {
	Verb Verb
	// Service is the service. An operation on a destination, and a deletion, use only its identity.
	Service Service
	// Destination is the destination. A deletion uses only its address. It is zero for a service.
	Destination Destination
}

// Scope is the set of services that a caller owns. A plan does not read or change other services.
type Scope map[ServiceID]bool

// ScopeOf returns the scope with all services of some tables.
func ScopeOf(tables ...Table) Scope {
	scope := Scope{}
	for _, t := range tables {
		for _, v := range t {
			scope[v.ID] = true
		}
	}
	return scope
}

// Plan returns the changes that turn have into want within scope. It ignores services of want that
// are not in scope. The order of the changes is: services before destinations, higher weights
// before lower weights, deletions last. So traffic always has a destination if one is available.
// The same arguments always give the same plan. After the plan was applied, a new plan is empty.
//
// With a scheduler that hashes, the hash table depends on the order of the destinations. So the
// plan puts the destinations of the kernel into the order of their addresses, and a destination
// with Last after all others. For this order, it deletes destinations and adds them again. It does
// so only if have has VirtualService.Order. It always adds missing destinations in this order.
func Plan(want, have Table, scope Scope) []Op {
	wanted, held := want.Index(), have.Index()
	find := func(id ServiceID) (h VirtualService, exists bool) {
		at, exists := held[id]
		if exists {
			h = have[at]
		}
		return h, exists
	}
	p := planner{first: slices.Grow([]Op(nil), additions(want, held))}
	for _, w := range want {
		if h, exists := find(w.ID); scope[w.ID] {
			p.service(w.Service, h.Service, exists)
		}
	}
	for _, w := range want {
		if h, _ := find(w.ID); scope[w.ID] {
			p.destinations(w, h)
		}
	}
	for _, h := range have {
		if _, stays := wanted[h.ID]; scope[h.ID] && !stays {
			p.gone = append(p.gone, Op{Verb: DeleteService, Service: Service{ID: h.ID}})
		}
	}
	return append(p.first, slices.Concat(p.raised, p.changed, p.removed, p.gone)...)
}

// additions returns how many services and destinations are wanted in services that do not exist. A
// list of this size is not copied while it grows, because each new page of memory costs time.
func additions(want Table, held map[ServiceID]int) (n int) {
	for _, w := range want {
		if _, exists := held[w.ID]; !exists {
			n += 1 + len(w.Destinations)
		}
	}
	return n
}

// planner collects the operations of a plan. Each stage of the plan has its own list. The list
// first has the stages of services and of added destinations.
type planner struct {
	first, raised, changed, removed, gone []Op
}

func (p *planner) service(want, have Service, exists bool) {
	switch {
	case !exists:
		p.first = append(p.first, Op{Verb: AddService, Service: want})
	case !want.Equal(have):
		p.first = append(p.first, Op{Verb: EditService, Service: want})
	}
}

func (p *planner) destinations(want, have VirtualService) {
	switch {
	case !want.Scheduler.Hashes():
	case have.Order != nil:
		have = p.ordered(&want, have)
	default:
		want.Destinations = slices.SortedFunc(slices.Values(want.Destinations), byPlace)
	}
	old := make(map[netip.AddrPort]Destination, len(have.Destinations))
	for _, d := range have.Destinations {
		old[d.Addr] = d
	}
	for _, w := range want.Destinations {
		h, exists := old[w.Addr]
		delete(old, w.Addr)
		op := Op{Verb: EditDestination, Service: Service{ID: want.ID}, Destination: w}
		switch {
		case !exists:
			p.add(want.Scheduler, op)
		case w.Equal(h):
		case w.Weight > h.Weight:
			p.raised = append(p.raised, op)
		default:
			p.lower(want.Scheduler, op, h)
		}
	}
	for _, h := range have.Destinations {
		if _, left := old[h.Addr]; left {
			delete(old, h.Addr) // If another program changes the table during a dump, the dump can list a destination twice.
			p.removed = append(p.removed, Op{Verb: DeleteDestination, Service: Service{ID: want.ID}, Destination: h})
		}
	}
}

// add adds a destination. If the scheduler keeps slots, it adds a destination of weight 0 with its
// HashWeight first. The kernel gives no slots of the hash table to a destination that is added with
// weight 0 (net/netfilter/ipvs/ip_vs_ctl.c, __ip_vs_update_dest; ip_vs_mh.c, last_weight).
func (p *planner) add(s Scheduler, op Op) {
	op.Verb = AddDestination
	if d := op.Destination; s.KeepsSlots() && d.Weight == 0 && d.HashWeight > 0 {
		first := op
		first.Destination.Weight = d.HashWeight
		p.first = append(p.first, first)
		op.Verb = EditDestination
	}
	p.first = append(p.first, op)
}

// lower changes a destination of the kernel to a weight that is not higher. If the scheduler keeps
// slots, a destination with weight 0 keeps its slots. So lower first sets the HashWeight if the
// kernel has another weight above 0.
func (p *planner) lower(s Scheduler, op Op, have Destination) {
	if d := op.Destination; s.KeepsSlots() && d.Weight == 0 && d.HashWeight > 0 && have.Weight > 0 && have.Weight != d.HashWeight {
		first := op
		first.Destination.Weight = d.HashWeight
		p.changed = append(p.changed, first)
	}
	p.changed = append(p.changed, op)
}

// byPlace compares destinations by their place in a service whose scheduler hashes.
func byPlace(a, b Destination) int { return cmp.Or(bit(a.Last)-bit(b.Last), byAddr(a, b)) }

// ordered sorts the wanted destinations with byPlace. It deletes the destinations that the kernel
// has in another order, and adds them again, one by one. In the same order, it adds the missing
// destinations. It returns have without the deleted destinations.
func (p *planner) ordered(want *VirtualService, have VirtualService) VirtualService {
	want.Destinations = slices.SortedFunc(slices.Values(want.Destinations), byPlace)
	at := make(map[netip.AddrPort]int, len(want.Destinations))
	for i, d := range want.Destinations {
		at[d.Addr] = i
	}
	// inPlace counts the wanted destinations that the kernel already has in this order.
	inPlace := 0
	for _, addr := range have.Order {
		if i, wanted := at[addr]; wanted && i == inPlace {
			inPlace++
		}
	}
	late := map[netip.AddrPort]Destination{}
	var left []Destination
	for _, h := range have.Destinations {
		if i, wanted := at[h.Addr]; wanted && i >= inPlace {
			late[h.Addr] = h
			continue
		}
		left = append(left, h)
	}
	for _, w := range want.Destinations[inPlace:] {
		if h, exists := late[w.Addr]; exists {
			p.first = append(p.first, Op{Verb: DeleteDestination, Service: Service{ID: want.ID}, Destination: h})
		}
		p.add(want.Scheduler, Op{Service: Service{ID: want.ID}, Destination: w})
	}
	want.Destinations = want.Destinations[:inPlace]
	have.Destinations = left
	return have
}

// Equal compares the settings of an operator. It compares Granularity and Engine only with
// persistence, because the kernel reports a full mask for services without persistence.
func (s Service) Equal(o Service) bool { return s.normal() == o.normal() }

func (s Service) normal() Service {
	full := 32
	if s.ID.Is6() {
		full = 128
	}
	if s.Persistence == 0 || s.Granularity == full {
		s.Granularity = 0
	}
	if s.Persistence == 0 {
		s.Engine = ""
	}
	return s
}

// Equal compares the settings of an operator. If a destination is an address of the director, the
// kernel reports Local for every forwarding method (net/netfilter/ipvs/ip_vs_ctl.c,
// __ip_vs_update_dest). So Local equals every forwarding method. The kernel does not report
// HashWeight and Last, so Equal ignores them.
func (d Destination) Equal(o Destination) bool {
	d.HashWeight, d.Last, o.HashWeight, o.Last = 0, false, 0, false
	if d.Forward == Local || o.Forward == Local {
		d.Forward, o.Forward = Local, Local
		d.Encapsulation, o.Encapsulation = Encapsulation{}, Encapsulation{}
	}
	return d == o
}

// Equal reports whether two services and their destinations are the same. It ignores the order of
// the destinations.
func (v VirtualService) Equal(o VirtualService) bool {
	o.Order = nil
	return v.ID == o.ID && len(Plan(Table{v}, Table{o}, Scope{v.ID: true})) == 0
}

// Apply returns the table after an op. It is as strict as the kernel: the error is fs.ErrExist if
// an added entry exists, and fs.ErrNotExist if a changed or deleted entry does not exist. Apply
// does not change t.
func (t Table) Apply(op Op) (Table, error) {
	i := slices.IndexFunc(t, func(v VirtualService) bool { return v.ID == op.Service.ID })
	if op.Verb == AddService {
		if i >= 0 {
			return t, fmt.Errorf("%s: %w", op, fs.ErrExist)
		}
		return append(slices.Clone(t), VirtualService{Service: op.Service}), nil
	}
	if i < 0 {
		return t, fmt.Errorf("%s: %w", op, fs.ErrNotExist)
	}
	next := slices.Clone(t)
	switch op.Verb {
	case EditService:
		next[i].Service = op.Service
	case DeleteService:
		next = slices.Delete(next, i, i+1)
	default:
		destinations, err := applyDestination(next[i].Destinations, op)
		if err != nil {
			return t, err
		}
		next[i].Destinations, next[i].Order = destinations, nil
	}
	return next, nil
}

func applyDestination(have []Destination, op Op) ([]Destination, error) {
	i := slices.IndexFunc(have, func(d Destination) bool { return d.Addr == op.Destination.Addr })
	next := slices.Clone(have)
	switch {
	case op.Verb == AddDestination && i >= 0:
		return nil, fmt.Errorf("%s: %w", op, fs.ErrExist)
	case op.Verb == AddDestination:
		return append(next, op.Destination), nil
	case i < 0:
		return nil, fmt.Errorf("%s: %w", op, fs.ErrNotExist)
	case op.Verb == DeleteDestination:
		return slices.Delete(next, i, i+1), nil
	}
	next[i] = op.Destination
	return next, nil
}

// Ownership is how much of a resource exists.
type Ownership uint8

// The results of Classify. The zero value is not a result.
const (
	Present Ownership = iota + 1 // Present: every part exists. A start would change nothing.
	Absent                       // Absent: no part exists. A stop would change nothing.
	Partial                      // Partial: some parts exist, but not all.
)

// Classify returns how much of a resource exists, from the number of ops that start and stop would
// need. If both need no op (an empty list of services), the resource is present.
func Classify(start, stop int) Ownership {
	switch {
	case start == 0:
		return Present
	case stop == 0:
		return Absent
	}
	return Partial
}

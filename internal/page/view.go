package page

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"lvs-agents/internal/control"
)

// perPage is how many real servers, and how many events, the page shows at once.
const perPage = 200

// wish is what a client wants to see.
type wish struct {
	Find    string // Find is a part of the names of the daemon, the service or the real server.
	NotGood bool   // NotGood selects the real servers whose verdict is not good.
	servers int    // servers and events are the first shown elements, from 0.
	events  int
}

func wishOf(r *http.Request) wish {
	return wish{
		Find: r.FormValue("find"), NotGood: r.FormValue("notgood") != "",
		servers: number(r.FormValue("servers")), events: number(r.FormValue("events")),
	}
}

// number returns the number in a text. A text without a number, or below 0, gives 0.
func number(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0
	}
	return max(n, 0)
}

// href returns the link to the page of a wish.
func (w wish) href() string {
	values := url.Values{}
	set := func(name, value string, is bool) {
		if is {
			values.Set(name, value)
		}
	}
	set("find", w.Find, w.Find != "")
	set("notgood", "1", w.NotGood)
	set("servers", strconv.Itoa(w.servers), w.servers > 0)
	set("events", strconv.Itoa(w.events), w.events > 0)
	return "./?" + values.Encode()
}

// view is what the template shows.
type view struct {
	Host       string
	Now, Begun time.Time
	Summary    string
	Wish       wish
	Error      error // Error is why the daemons of this node are not known, or nil.
	Daemons    []daemon
	Addresses  []address
	// AddressError is why the addresses of this director are not known, or nil.
	AddressError error
	Attributes   []published
	Services     []service
	ServerPart   part
	Events       []control.Event
	EventPart    part
	Lost         int
}

// daemon is a row of the table of daemons.
type daemon struct {
	control.State
	Fault                                   string // Fault is why the daemon does not work. It is empty if the daemon works.
	Services, Servers, Good, Bad, Unchecked int
}

// address is a virtual address, and reports whether an interface of this director has it.
type address struct {
	netip.Addr
	Here bool
}

// published is the node attribute of a daemon.
type published struct {
	Daemon string
	control.Attribute
	Nodes []node
	Err   error
}

// node is what a daemon on a node of the cluster has published.
type node struct{ Name, Value, Sees string }

// service is a virtual service with the real servers that the page shows.
type service struct {
	Daemon string
	control.Service
	Fallbacks []control.Real
	Rows      []server
}

// server is the row of a real server.
type server struct {
	control.Real
	Begin string // Begin is when the verdict began, and how long ago.
	Spans []span
}

// part says which part of a list the page shows.
type part struct {
	From, To, Total int
	Previous, Next  string // Previous and Next are links. They are empty at the begin and at the end.
}

// view returns what the page shows to a client.
func (p *Page) view(states []control.State, err error, w wish) view {
	v := view{Host: p.source.Host, Now: p.source.Now(), Begun: p.begun, Wish: w, Error: err}
	for _, s := range states {
		v.Daemons = append(v.Daemons, summed(s))
	}
	v.Summary = summary(v.Daemons, err)
	v.Addresses, v.AddressError = p.addresses(states)
	v.Attributes = p.published(states)
	v.Services, v.ServerPart = p.services(states, w)
	events, lost := p.recent(v.Now)
	events = slices.DeleteFunc(events, func(e control.Event) bool { return !w.finds(e.Daemon, e.Service, e.Server) })
	v.EventPart = partOf(len(events), w.events, func(first int) string { w := w; w.events = first; return w.href() })
	v.Events, v.Lost = events[v.EventPart.From:v.EventPart.To], lost
	return v
}

// summed counts the real servers of a daemon by their verdicts.
func summed(s control.State) daemon {
	d := daemon{State: s, Services: len(s.Snapshot.Services)}
	for _, service := range s.Snapshot.Services {
		d.Servers += len(service.Reals)
		for _, real := range service.Reals {
			switch real.Verdict {
			case "good":
				d.Good++
			case "bad":
				d.Bad++
			default:
				d.Unchecked++
			}
		}
	}
	switch {
	case s.Err != nil:
		d.Fault = s.Err.Error()
	case s.Snapshot.Alive() != nil:
		d.Fault = s.Snapshot.Alive().Error()
	default:
		d.Fault = s.Snapshot.Trouble
	}
	return d
}

// summary returns the state of all daemons in one line.
func summary(daemons []daemon, err error) string {
	if len(daemons) == 0 && err == nil {
		return "no health daemon runs on this director"
	}
	var sum daemon
	faults := 0
	for _, d := range daemons {
		sum.Services, sum.Servers = sum.Services+d.Services, sum.Servers+d.Servers
		sum.Good, sum.Bad, sum.Unchecked = sum.Good+d.Good, sum.Bad+d.Bad, sum.Unchecked+d.Unchecked
		if d.Fault != "" {
			faults++
		}
	}
	text := fmt.Sprintf("%s, %s: %d good, %d bad, %d unknown",
		counted(sum.Services, "service"), counted(sum.Servers, "real server"), sum.Good, sum.Bad, sum.Unchecked)
	if faults > 0 {
		text = fmt.Sprintf("%d of %s at fault; %s", faults, counted(len(daemons), "daemon"), text)
	}
	return text
}

func counted(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// addresses returns the addresses of all services, and whether this director has them.
func (p *Page) addresses(states []control.State) ([]address, error) {
	own, err := p.source.Addresses()
	if err != nil {
		return nil, err
	}
	found := map[netip.Addr]bool{}
	for _, s := range states {
		for _, service := range s.Snapshot.Services {
			// A firewall mark has no address.
			if at, err := netip.ParseAddrPort(service.ID[strings.LastIndexByte(service.ID, ' ')+1:]); err == nil {
				found[at.Addr()] = slices.Contains(own, at.Addr())
			}
		}
	}
	var all []address
	for _, addr := range slices.SortedFunc(maps.Keys(found), netip.Addr.Compare) {
		all = append(all, address{addr, found[addr]})
	}
	return all, nil
}

// published returns the node attributes of the daemons with their values on all nodes.
func (p *Page) published(states []control.State) []published {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []published
	for _, s := range states {
		if s.Snapshot.Attribute == nil {
			continue
		}
		a := published{Daemon: s.ID, Attribute: *s.Snapshot.Attribute}
		read := p.nodes[a.Name]
		a.Err = read.err
		for _, name := range slices.Sorted(maps.Keys(read.values)) {
			a.Nodes = append(a.Nodes, node{name, read.values[name], sees(read.values[name])})
		}
		all = append(all, a)
	}
	return all
}

// sees explains the value of the node attribute (see package health, Share).
func sees(value string) string {
	n, err := strconv.Atoi(value)
	switch {
	case err != nil || n < 0 || n > 1000 || n > 0 && n < 500:
		return "unknown"
	case n == 0:
		return "no good real server"
	}
	return fmt.Sprintf("%d %% of the weight on good real servers", (n-500)/5)
}

// services returns the services with the real servers of the wished part. A service without real
// servers counts as one row.
func (p *Page) services(states []control.State, w wish) ([]service, part) {
	var all []service
	rows := 0
	for _, s := range states {
		for _, each := range s.Snapshot.Services {
			one := service{Daemon: s.ID, Service: each, Fallbacks: fallbacks(each)}
			for _, real := range each.Reals {
				if w.finds(s.ID, each.ID, real.Addr) && (!w.NotGood || real.Verdict != "good") {
					one.Rows = append(one.Rows, server{Real: real, Begin: begin(s.Snapshot.Now, real.Since)})
				}
			}
			if len(one.Rows) > 0 || len(each.Reals) == 0 && w.finds(s.ID, each.ID, "") && !w.NotGood {
				all = append(all, one)
				rows += max(1, len(one.Rows))
			}
		}
	}
	shown := partOf(rows, w.servers, func(first int) string { w := w; w.servers = first; return w.href() })
	all = cut(all, shown.From, shown.To)
	for _, s := range all {
		for i, row := range s.Rows {
			s.Rows[i].Spans = p.spans(member{s.Daemon, s.ID, row.Addr})
		}
	}
	return all, shown
}

// finds reports whether one of the names contains the wished text.
func (w wish) finds(names ...string) bool {
	return slices.ContainsFunc(names, func(name string) bool { return strings.Contains(name, w.Find) })
}

// cut returns the services with the rows from a number up to another.
func cut(all []service, from, to int) []service {
	var kept []service
	at := 0
	for _, s := range all {
		n := max(1, len(s.Rows))
		first, last := max(from-at, 0), min(to-at, n)
		at += n
		if first >= last {
			continue
		}
		if len(s.Rows) > 0 {
			s.Rows = s.Rows[first:last]
		}
		kept = append(kept, s)
	}
	return kept
}

// partOf returns the part of a list that begins with a wished element. href returns the link to
// another part.
func partOf(total, first int, href func(first int) string) part {
	if first >= total {
		first = 0
	}
	p := part{From: first, To: min(first+perPage, total), Total: total}
	if first > 0 {
		p.Previous = href(max(0, first-perPage))
	}
	if p.To < total {
		p.Next = href(p.To)
	}
	return p
}

// First is the number of the first element in words for people, who count from 1.
func (p part) First() int { return min(p.From+1, p.To) }

// fallbacks returns the fallbacks of a service that the table must have.
func fallbacks(s control.Service) []control.Real {
	if s.Fallback == nil {
		return nil
	}
	return slices.DeleteFunc(append([]control.Real{*s.Fallback}, s.OtherFallbacks...), func(r control.Real) bool { return r.Weight < 0 })
}

// weight returns the text for a weight. A negative weight means that the table must not have the
// server.
func weight(n int) string {
	if n < 0 {
		return "out"
	}
	return strconv.Itoa(n)
}

// begin returns when a verdict began, and how long ago.
func begin(now, since time.Time) string {
	if since.IsZero() {
		return ""
	}
	return fmt.Sprintf("%s (%s)", since.Format(time.DateTime), max(0, now.Sub(since)).Round(time.Second))
}

// words returns the kind of an event without underscores.
func words(kind string) string { return strings.ReplaceAll(kind, "_", " ") }

func clock(t time.Time) string { return t.Format(time.TimeOnly) }

// span is a part of the timeline of a real server.
type span struct {
	Verdict string
	From    time.Time
	// X and Width are the place in a line that is 360 long for the last hour.
	X, Width int
}

const lineLength = 360

// spans returns the timeline of a real server, the oldest verdict first.
func (p *Page) spans(m member) []span {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.source.Now()
	first := now.Add(-window)
	x := func(t time.Time) int {
		return int(lineLength * min(window, max(0, t.Sub(first))) / window)
	}
	var all []span
	changes := p.verdicts[m]
	for i, c := range changes {
		end := now
		if i+1 < len(changes) {
			end = changes[i+1].since
		}
		from := c.since
		if from.Before(first) {
			from = first
		}
		all = append(all, span{cmp.Or(c.verdict, "unknown"), from, x(from), max(1, x(end)-x(from))})
	}
	return all
}

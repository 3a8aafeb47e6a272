package control

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Event is something that happened to a service or to the configuration of a daemon.
// docs/control.md lists the kinds of events.
type Event struct {
	Time time.Time `json:"time,omitzero"`
	// Daemon is the id of the daemon. The client sets it.
	Daemon string `json:"daemon,omitempty"`
	Kind   string `json:"kind"`
	// Phase is the phase of the daemon: starting, running, reloading or stopping.
	Phase   string `json:"phase,omitempty"`
	Service string `json:"service,omitempty"` // Service is the virtual service in ipvsadm syntax.
	// Server is the address and port of a real server or a fallback.
	Server  string `json:"server,omitempty"`
	Check   string `json:"check,omitempty"`   // Check is the application of the check, or its type.
	Verdict string `json:"verdict,omitempty"` // Verdict is the verdict on the real server.
	// From and To are the weights before and after a change. They are -1 if the IPVS table did not
	// have, or does not have, the server.
	From *int `json:"from,omitempty"`
	To   *int `json:"to,omitempty"`
	// Failures is the number of failed checks in a row. In an event check_passed, it is the number
	// before the success.
	Failures int `json:"failures,omitempty"`
	// Fall is how many failures in a row make the server bad.
	Fall int `json:"fall,omitempty"`
	// By is the operator who gave the order of an event order_given.
	By     string `json:"by,omitempty"`
	Reason string `json:"reason,omitempty"`
	// Lasted is how many seconds the previous verdict lasted.
	Lasted float64 `json:"lasted,omitempty"`
	// Op is the change of the IPVS table, as a command of ipvsadm.
	Op string `json:"op,omitempty"`
	// Undone is the change by another program that Op has undone, as a command of ipvsadm.
	Undone string `json:"undone,omitempty"`
	// Dropped is the number of events that the daemon dropped because the client was too slow.
	Dropped int `json:"dropped,omitempty"`
}

// KindDropped is the kind of an event that says how many events the daemon dropped before it.
const KindDropped = "events_dropped"

// Filter selects events by service and server. An empty filter selects all events.
type Filter struct {
	// Service is "-t ADDRESS:PORT" or "-f MARK" as in a Snapshot, or only "ADDRESS:PORT", "ADDRESS"
	// for all ports, or "MARK".
	Service string `json:"service,omitempty"`
	// Server is ADDRESS:PORT, or ADDRESS for all ports of the address.
	Server string `json:"server,omitempty"`
}

// normal returns the filter with its addresses written as in events. For example, it shortens IPv6
// addresses.
func (f Filter) normal() (Filter, error) {
	f.Service = strings.TrimSpace(f.Service)
	option, name := cutOption(f.Service)
	if _, err := strconv.ParseUint(name, 10, 32); f.Service != "" && err != nil {
		if addr, err := netip.ParseAddr(name); err == nil && option == "" {
			f.Service = addr.String()
		} else if addr, err := netip.ParseAddrPort(name); err == nil {
			f.Service = option + addr.String()
		} else {
			return f, fmt.Errorf("service %q is neither ADDRESS, ADDRESS:PORT nor a firewall mark", f.Service)
		}
	}
	if f.Server == "" {
		return f, nil
	}
	if addr, err := netip.ParseAddr(f.Server); err == nil {
		f.Server = addr.String()
		return f, nil
	}
	addr, err := netip.ParseAddrPort(f.Server)
	if err != nil {
		return f, fmt.Errorf("server %q is neither ADDRESS:PORT nor an address", f.Server)
	}
	f.Server = addr.String()
	return f, nil
}

// cutOption splits a service such as "-t ADDRESS:PORT" after the blank. option is empty if the
// service has no option.
func cutOption(service string) (option, name string) {
	at := strings.LastIndexByte(service, ' ') + 1
	return service[:at], service[at:]
}

// passes reports whether the filter selects an event.
func (f Filter) passes(e Event) bool { return f.HasService(e.Service) && f.HasServer(e.Server) }

// HasService reports whether the filter selects a service. The service is as in a Snapshot.
func (f Filter) HasService(service string) bool {
	_, name := cutOption(service)
	return f.Service == "" || f.Service == service || f.Service == name || hasAddress(name, f.Service)
}

// HasServer reports whether the filter selects a real server. The server is ADDRESS:PORT.
func (f Filter) HasServer(server string) bool {
	return f.Server == "" || f.Server == server || hasAddress(server, f.Server)
}

// hasAddress reports whether the end "ADDRESS:PORT" has an address.
func hasAddress(end, address string) bool {
	addr, err := netip.ParseAddrPort(end)
	return err == nil && addr.Addr().String() == address
}

const (
	longestQueue = 1024 // longestQueue is the largest number of events in the queue of one client.
	mostReaders  = 16   // mostReaders is the largest number of clients that read events.
)

var errReaders = fmt.Errorf("%d clients read events already; end one of them", mostReaders)

// Feed sends events to the clients that read them. The zero value has no clients.
type Feed struct {
	count atomic.Int32 // count is the number of clients that read events. Wanted reads it without the lock.

	mu      sync.Mutex
	readers map[*reader]bool
}

// reader is one client that reads events, with its queue.
type reader struct {
	filter Filter
	wake   chan struct{} // wake gets a token when an event comes into the queue.

	// The field mu of the feed protects the fields below.
	events []Event
	// dropped is how many events were dropped. They are newer than all elements of events.
	dropped int
}

// Wanted reports whether a client reads events. If not, the daemon need not make events for the
// Feed.
func (f *Feed) Wanted() bool { return f.count.Load() > 0 }

// Publish puts an event into the queue of every client whose filter selects it. Publish never waits
// for a client. If the queue of a client is full, Publish drops the event and counts it.
func (f *Feed) Publish(e Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for r := range f.readers {
		if !r.filter.passes(e) {
			continue
		}
		if len(r.events) < longestQueue {
			r.events = append(r.events, e)
		} else {
			r.dropped++
		}
		select {
		case r.wake <- struct{}{}:
		default:
		}
	}
}

// join adds a client that reads events. It returns an error if there are too many clients.
func (f *Feed) join(filter Filter) (*reader, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.readers) == mostReaders {
		return nil, errReaders
	}
	r := &reader{filter: filter, wake: make(chan struct{}, 1)}
	if f.readers == nil {
		f.readers = map[*reader]bool{}
	}
	f.readers[r] = true
	f.count.Store(int32(len(f.readers)))
	return r, nil
}

func (f *Feed) leave(r *reader) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.readers, r)
	f.count.Store(int32(len(f.readers)))
}

// take empties the queue of a reader and returns its events. If events were dropped, the last
// returned event has their number.
func (f *Feed) take(r *reader) []Event {
	f.mu.Lock()
	defer f.mu.Unlock()
	events, dropped := r.events, r.dropped
	r.events, r.dropped = nil, 0
	if dropped > 0 {
		events = append(events, Event{Kind: KindDropped, Dropped: dropped})
	}
	return events
}

// stream replies to a request for events, and then sends events to the client. It ends when ctx
// ends, when a write fails, when the client closes the connection, or when the client sends
// anything more.
func (f *Feed) stream(ctx context.Context, conn net.Conn, r request) {
	filter, err := decodeArguments[Filter](r)
	if err == nil {
		filter, err = filter.normal()
	}
	var to *reader
	if err == nil {
		to, err = f.join(filter)
	}
	if _, failed := conn.Write(append(encodeReply(nil, err), '\n')); failed != nil || err != nil {
		if to != nil {
			f.leave(to)
		}
		return
	}
	defer f.leave(to)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		defer cancel()
		// Read returns when the client sends something or closes, or when talk closes the connection.
		_, _ = conn.Read(make([]byte, 1))
	}()
	f.send(ctx, conn, to)
}

// send writes the events of a reader to out until ctx ends or a write fails.
func (f *Feed) send(ctx context.Context, out io.Writer, to *reader) {
	lines := bufio.NewWriter(out)
	for {
		select {
		case <-ctx.Done():
			return
		case <-to.wake:
		}
		for _, e := range f.take(to) {
			// The write goes into a buffer. Flush returns the error of this write.
			_, _ = lines.Write(append(encodeReply(e, nil), '\n'))
		}
		if lines.Flush() != nil {
			return
		}
	}
}

// Watch has the functions of a client that reads the events that a Filter selects.
type Watch struct {
	Filter
	Begun func() // Begun is called when the daemon has accepted the request. It can be nil.
	Each  func(Event) error
}

// Events reads the events of a daemon, and calls Each for every event. It always returns an error:
// if the daemon refuses the request or ends, when ctx ends, or the error of Each.
func Events(ctx context.Context, stateDir, id string, w Watch) error {
	conn, done, err := dial(ctx, stateDir, id)
	if err != nil {
		return err
	}
	defer done()
	line, err := encodeRequest(requestEvents, w.Filter)
	if err != nil {
		return err
	}
	if _, err := conn.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("directord %s does not reply: %w", id, err)
	}
	for begun, lines := false, bufio.NewScanner(conn); lines.Scan(); begun = true {
		e := Event{Daemon: id}
		switch {
		case !begun && bytes.HasPrefix(lines.Bytes(), []byte(wordError)):
			return fmt.Errorf("directord %s was started before the upgrade and cannot send events; restart its resource", id)
		case !begun:
			err = decodeReply(lines.Bytes(), nil)
		default:
			err = decodeReply(lines.Bytes(), &e)
		}
		if err != nil {
			return fmt.Errorf("directord %s: %w", id, err)
		}
		if !begun {
			if w.Begun != nil {
				w.Begun()
			}
			continue
		}
		if err := w.Each(e); err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fmt.Errorf("directord %s: %w", id, ErrEnded)
}

// ErrEnded is the error of Events if the daemon closed the connection while the client read events.
var ErrEnded = errors.New("the daemon has ended; there are no more events")

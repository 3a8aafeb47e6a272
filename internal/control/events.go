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
// docs/control.md has the kinds.
type Event struct {
	Time    time.Time `json:"time,omitzero"`
	Daemon  string    `json:"daemon,omitempty"` // its id
	Kind    string    `json:"kind"`
	Phase   string    `json:"phase,omitempty"`   // of the daemon: starting, running, reloading or stopping
	Service string    `json:"service,omitempty"` // in ipvsadm syntax
	Server  string    `json:"server,omitempty"`  // a real server or a fallback
	Check   string    `json:"check,omitempty"`   // the application, or the type of the check
	Verdict string    `json:"verdict,omitempty"` // on the real server
	// From and To are the weights before and after a change; -1 if the server was not, or
	// is not, in the table.
	From     *int    `json:"from,omitempty"`
	To       *int    `json:"to,omitempty"`
	Failures int     `json:"failures,omitempty"` // of checks in a row
	Fall     int     `json:"fall,omitempty"`     // so many failures make the server bad
	Reason   string  `json:"reason,omitempty"`
	Lasted   float64 `json:"lasted,omitempty"`  // seconds that the verdict before this one lasted
	Op       string  `json:"op,omitempty"`      // the change of the table, as a command of ipvsadm
	Dropped  int     `json:"dropped,omitempty"` // events that were left out because the client was too slow
}

// KindDropped is the kind of an event that reports how many were left out before it.
const KindDropped = "events_dropped"

// Filter selects events. The empty one passes all.
type Filter struct {
	Service string `json:"service,omitempty"` // "-t ADDRESS:PORT" as in a Snapshot, or without the option
	Server  string `json:"server,omitempty"`  // ADDRESS:PORT, or ADDRESS for all its ports
}

// normal returns the filter with its addresses in the form of events.
func (f Filter) normal() (Filter, error) {
	option, name := cutOption(f.Service)
	if _, err := strconv.ParseUint(name, 10, 32); f.Service != "" && err != nil {
		addr, err := netip.ParseAddrPort(name)
		if err != nil {
			return f, fmt.Errorf("service %q is neither ADDRESS:PORT nor a firewall mark", f.Service)
		}
		f.Service = option + addr.String()
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

// cutOption splits "-t ADDRESS:PORT" after the blank.
func cutOption(service string) (option, name string) {
	at := strings.LastIndexByte(service, ' ') + 1
	return service[:at], service[at:]
}

// passes reports whether a client gets an event.
func (f Filter) passes(e Event) bool {
	_, name := cutOption(e.Service)
	if f.Service != "" && f.Service != e.Service && f.Service != name {
		return false
	}
	if f.Server == "" || f.Server == e.Server {
		return true
	}
	addr, err := netip.ParseAddrPort(e.Server)
	return err == nil && f.Server == addr.Addr().String()
}

const (
	longestQueue = 1024 // events that wait for one client
	mostReaders  = 16   // clients that read events
)

var errReaders = fmt.Errorf("%d clients read events already; end one of them", mostReaders)

// Feed passes events to the clients that read them. The zero value has no clients.
type Feed struct {
	count atomic.Int32 // of readers

	mu      sync.Mutex
	readers map[*reader]bool
}

// reader is the queue of one client.
type reader struct {
	filter Filter
	wake   chan struct{} // has a token if something waits

	// The lock of the feed protects the rest.
	events  []Event
	dropped int // after events
}

// Wanted reports whether a client reads events. If not, the daemon need not make any.
func (f *Feed) Wanted() bool { return f.count.Load() > 0 }

// Publish queues an event for every client that wants it. It never waits for a client: if
// a queue is full, the event is counted and dropped.
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

// join adds a reader.
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

// take empties the queue of a reader. The last event reports the dropped ones.
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

// stream replies with events until ctx ends, or the client leaves or sends anything more.
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
		_, _ = conn.Read(make([]byte, 1)) // ends when talk closes the connection
	}()
	f.send(ctx, conn, to)
}

// send writes the events of a reader until ctx ends or a write fails.
func (f *Feed) send(ctx context.Context, out io.Writer, to *reader) {
	lines := bufio.NewWriter(out)
	for {
		select {
		case <-ctx.Done():
			return
		case <-to.wake:
		}
		for _, e := range f.take(to) {
			_, _ = lines.Write(append(encodeReply(e, nil), '\n')) // Flush has its error
		}
		if lines.Flush() != nil {
			return
		}
	}
}

// Events reads the events of a daemon that pass a filter, and calls each for each. It
// returns when ctx ends, when the daemon does, or with the error of each.
func Events(ctx context.Context, stateDir, id string, filter Filter, each func(Event) error) error {
	conn, done, err := dial(ctx, stateDir, id)
	if err != nil {
		return err
	}
	defer done()
	line, err := encodeRequest(requestEvents, filter)
	if err != nil {
		return err
	}
	if _, err := conn.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("directord %s does not answer: %w", id, err)
	}
	for begun, lines := false, bufio.NewScanner(conn); lines.Scan(); begun = true {
		e := Event{Daemon: id}
		switch {
		case !begun && bytes.HasPrefix(lines.Bytes(), []byte(wordError)):
			return fmt.Errorf("directord %s runs since before the upgrade and has no events; restart its resource", id)
		case !begun:
			err = decodeReply(lines.Bytes(), nil)
		default:
			err = decodeReply(lines.Bytes(), &e)
		}
		if err != nil {
			return fmt.Errorf("directord %s: %w", id, err)
		}
		if !begun {
			continue
		}
		if err := each(e); err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fmt.Errorf("directord %s: %w", id, ErrEnded)
}

// ErrEnded is the error of Events if the daemon ended while the client read its events.
var ErrEnded = errors.New("it has ended; there are no more events")

package moves

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"
)

// ready is the line that the server and the client print when they are ready for the test.
const ready = "ready"

// patience is how long the client waits for an answer after a take-over. TCP sends lost data again
// after growing pauses: after a gap of six seconds, the next retransmission can be six seconds
// away.
const patience = 20 * time.Second

// Mix describes the traffic that a client sends: how many connections of each kind.
type Mix struct {
	Target string // the virtual address
	// Idle, Chatty, Streaming and Datagrams are numbers of open connections. On an idle connection,
	// the client sends nothing before the report. On a chatty connection, the client sends a line
	// at every beat. On a streaming connection, the server sends a line at every beat. Datagrams
	// are sent from as many source ports, one at every beat.
	Idle, Chatty, Streaming, Datagrams int
	// Sources lists client addresses. From each address, the client connects to the persistent
	// service twice a second.
	Sources []string
	// Requests is how many new connections a second the client makes. On each of them, both sides
	// send one line.
	Requests int
}

// kinds lists the kinds of traffic, in the order of the printed tables.
var kinds = []string{"idle", "chatty", "streaming", "datagrams", "persistent", "requests"}

// Result is what happened to one kind of traffic since the last report.
type Result struct {
	Count  int            // number of open connections, client addresses or requests
	Broken map[string]int // number of broken connections or failed requests, by reason
	// Gap is the longest time during which one connection got no answer. For requests, it is the
	// longest time between two answers to any request.
	Gap time.Duration
}

// Report contains a Result for each kind of traffic. The keys are the elements of kinds.
type Report map[string]Result

// flow is one open connection, or the datagrams of one source port.
type flow struct {
	kind   string
	conn   net.Conn
	mu     sync.Mutex
	server string
	broken string
	heard  time.Time
	gap    time.Duration
}

// ports is the number of source ports that requests use. The first port is chosen at random,
// because an earlier client can have used the same ports.
const ports = 22000

// client sends the traffic of a Mix and counts its results.
type client struct {
	mix   Mix
	mu    sync.Mutex
	flows []*flow
	tally Report
	port  int
	heard time.Time // time when the client last got an answer to any request
	// begun has the start time of each request that has not ended, by source port.
	begun map[int]time.Time
}

// load runs in the client process. It sends the traffic of mix, prints a report for each line that
// it reads from commands, and returns at the end of commands.
func load(mix Mix, commands io.Reader) error {
	c := &client{mix: mix, heard: time.Now(), tally: Report{}, begun: map[int]time.Time{}, port: rand.IntN(ports)}
	for _, each := range []struct {
		kind  string
		count int
	}{{"idle", mix.Idle}, {"chatty", mix.Chatty}, {"streaming", mix.Streaming}, {"datagrams", mix.Datagrams}} {
		for range each.count {
			f, err := c.open(each.kind)
			if err != nil {
				return fmt.Errorf("%s connection %d: %w", each.kind, len(c.flows), err)
			}
			c.flows = append(c.flows, f)
		}
	}
	go c.talk()
	for _, source := range mix.Sources {
		go c.persist(source)
	}
	if mix.Requests > 0 {
		go c.request()
	}
	fmt.Println(ready)
	for lines := bufio.NewScanner(commands); lines.Scan(); {
		report, err := c.report()
		if err != nil {
			return err
		}
		if err := json.NewEncoder(os.Stdout).Encode(report); err != nil {
			return err
		}
	}
	return nil
}

func (c *client) open(kind string) (*flow, error) {
	network, hello := "tcp", "hello\n"
	switch kind {
	case "datagrams":
		network = "udp"
	case "streaming":
		hello = "stream\n"
	}
	dialer := net.Dialer{Timeout: patience, KeepAlive: -1} // keep-alive packets would synchronise idle connections
	conn, err := dialer.Dial(network, net.JoinHostPort(c.mix.Target, fmt.Sprint(plainPort)))
	if err != nil {
		return nil, err
	}
	if _, err := conn.Write([]byte(hello)); err != nil {
		return nil, err
	}
	f := &flow{kind: kind, conn: conn, heard: time.Now()}
	lines := bufio.NewReaderSize(conn, 64)
	if network == "udp" {
		go f.receive()
		return f, nil
	}
	_ = conn.SetReadDeadline(time.Now().Add(patience)) // SetReadDeadline does not fail on an open connection
	name, err := lines.ReadString('\n')
	if err != nil {
		return nil, err
	}
	_ = conn.SetReadDeadline(time.Time{})
	f.answered(strings.TrimSpace(name))
	go f.read(lines)
	return f, nil
}

// read reads the answers of a TCP connection until the connection breaks.
func (f *flow) read(lines *bufio.Reader) {
	for {
		name, err := lines.ReadString('\n')
		if err != nil {
			f.fail(reason(err))
			return
		}
		f.answered(strings.TrimSpace(name))
	}
}

// receive reads the datagrams of a flow. An error means that a datagram was lost, unless the flow
// has ended.
func (f *flow) receive() {
	buffer := make([]byte, 64)
	for {
		n, err := f.conn.Read(buffer)
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err == nil:
			f.answered(string(buffer[:n]))
		}
	}
}

func (f *flow) answered(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.server == "" {
		f.server = name
	}
	if name != f.server && f.broken == "" {
		f.broken = "another server"
	}
	now := time.Now()
	if f.kind != "idle" {
		f.gap = max(f.gap, now.Sub(f.heard))
	}
	f.heard = now
}

func (f *flow) fail(why string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.broken == "" {
		f.broken = why
	}
}

func (f *flow) say() {
	if err := send(f.conn, "hello\n"); err != nil && f.kind != "datagrams" {
		f.fail(reason(err))
	}
}

// talk sends a line on each chatty connection, and a datagram from each source port, at every beat.
// It divides the beat into parts, so that it does not send everything at the same moment.
func (c *client) talk() {
	const parts = 10
	part := 0
	for range time.Tick(beat / parts) {
		part = (part + 1) % parts
		for i, f := range c.opened() {
			if i%parts == part && (f.kind == "chatty" || f.kind == "datagrams") {
				f.say()
			}
		}
	}
}

func (c *client) opened() []*flow {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.flows
}

// request makes the new connections of each second (Mix.Requests).
func (c *client) request() {
	for range time.Tick(time.Second / time.Duration(c.mix.Requests)) {
		go func() {
			_, err := c.get("", plainPort)
			c.count("requests", err)
		}()
	}
}

// persist connects from one client address to the persistent service, again and again. Every
// connection must reach the same server.
func (c *client) persist(source string) {
	var server string
	for range time.Tick(time.Second / 2) {
		name, err := c.get(source, persistentPort)
		if err == nil && server != "" && name != server {
			err = errOther
		}
		if name != "" {
			server = name
		}
		c.count("persistent", err)
	}
}

var errOther = errors.New("another server")

// get makes one connection and reads one answer. Each connection uses another source port than the
// connections of the last two minutes. A director with direct routing keeps an ended connection for
// that time.
func (c *client) get(source string, port int) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	from := c.next()
	defer func() { c.ended(from) }()
	conn, err := c.dial(ctx, source, from, port)
	// An earlier client has left a connection that uses this port, so the client tries the next port.
	for errors.Is(err, syscall.EADDRINUSE) {
		c.ended(from)
		from = c.next()
		conn, err = c.dial(ctx, source, from, port)
	}
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(patience)) // SetDeadline does not fail on an open connection
	if _, err := conn.Write([]byte("bye\n")); err != nil {
		return "", err
	}
	name, err := io.ReadAll(conn)
	if err == nil && len(name) == 0 {
		err = io.EOF
	}
	return strings.TrimSpace(string(name)), err
}

func (c *client) dial(ctx context.Context, source string, from, port int) (net.Conn, error) {
	local := &net.TCPAddr{IP: net.ParseIP(source), Port: from}
	return (&net.Dialer{LocalAddr: local}).DialContext(ctx, "tcp", net.JoinHostPort(c.mix.Target, fmt.Sprint(port)))
}

// next returns the source port of the next request, and stores the start time of the request.
func (c *client) next() int {
	const first = 10000
	c.mu.Lock()
	defer c.mu.Unlock()
	port := first + c.port%ports
	c.port++
	c.begun[port] = time.Now()
	return port
}

func (c *client) ended(port int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.begun, port)
}

func (c *client) count(kind string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	result := c.tally[kind]
	result.Count++
	if err != nil {
		result.breaks(reason(err))
	} else if kind == "requests" {
		result.Gap = max(result.Gap, time.Since(c.heard))
		c.heard = time.Now()
	}
	c.tally[kind] = result
}

func (r *Result) breaks(why string) {
	if r.Broken == nil {
		r.Broken = map[string]int{}
	}
	r.Broken[why]++
}

func reason(err error) string {
	var timeout net.Error
	switch {
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "reset"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused"
	case errors.Is(err, io.EOF):
		return "closed"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "no answer"
	}
	return err.Error()
}

// report sends a line on every idle connection. It waits until every connection has an answer, at
// most as long as patience. It then replaces broken connections for the next report.
func (c *client) report() (Report, error) {
	began := time.Now()
	for _, f := range c.flows {
		if f.kind == "idle" {
			f.say()
		}
	}
	for c.waits(began) && time.Since(began) < patience {
		<-time.After(beat)
	}
	c.mu.Lock()
	report := c.tally
	c.tally, c.heard = Report{}, time.Now()
	c.mu.Unlock()
	flows := make([]*flow, 0, len(c.flows))
	for _, f := range c.flows {
		broken := f.judge(began, report)
		if broken {
			_ = f.conn.Close()
			var err error
			if f, err = c.open(f.kind); err != nil {
				return nil, fmt.Errorf("a new %s connection: %w", f.kind, err)
			}
		}
		flows = append(flows, f)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.flows = flows
	return report, nil
}

// waits reports whether the client still waits for an answer: on an open connection without an
// answer since the given time, or to a request that began before that time.
func (c *client) waits(since time.Time) bool {
	c.mu.Lock()
	for _, at := range c.begun {
		if at.Before(since) {
			c.mu.Unlock()
			return true
		}
	}
	c.mu.Unlock()
	for _, f := range c.flows {
		f.mu.Lock()
		waits := f.broken == "" && f.heard.Before(since)
		f.mu.Unlock()
		if waits {
			return true
		}
	}
	return false
}

// judge adds the flow to the report, and reports whether the flow is broken. A flow without an
// answer since the given time counts as broken. The measurement of its gap begins again.
func (f *flow) judge(since time.Time, report Report) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	result := report[f.kind]
	result.Count++
	if f.broken == "" && f.heard.Before(since) {
		f.broken = "no answer"
	}
	if f.broken != "" {
		result.breaks(f.broken)
	}
	result.Gap = max(result.Gap, f.gap)
	f.gap = 0
	report[f.kind] = result
	return f.broken != ""
}

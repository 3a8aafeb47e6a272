// Package top is a live view of virtual services and their real servers in a terminal.
package top

import (
	"context"
	"io"
	"time"

	tea "charm.land/bubbletea/v2"

	"lvs-agents/internal/control"
)

// Source is what the view reads and does. Its functions can block, and the view calls them in
// goroutines.
type Source struct {
	Host   string
	Colour bool // Colour says that the terminal shows colours.
	// Read returns the state of all daemons. It reports a daemon that does not reply within a second
	// as a trouble.
	Read func() State
	// Explain returns the lines of an explanation. server is empty for a whole service.
	Explain func(service, server string) string
	// Give gives an order, and returns nil when the daemons have carried it out.
	Give func(Order) error
}

// State is everything on the screen at one moment. The texts can contain any bytes.
type State struct {
	Daemons  int
	Services []Service
	Troubles []string // Troubles are the faults that concern more than one service.
}

// Service is a virtual service of a daemon.
type Service struct {
	Daemon, ID string
	Title      string // Title is the address with the protocol and the scheduler.
	Reason     string // Reason is why the service is not balanced as configured, or empty.
	Servers    []Server
}

// Server is a real server or a fallback of a service.
type Server struct {
	Addr    string
	Weight  int    // Weight is the present weight. It is negative if the kernel lacks the server.
	Weights string // Weights is the text for the present and the configured weight.
	Verdict string // Verdict is good, bad, unknown or fallback.
	Age     time.Duration
	Aged    bool // Aged is false if Age is unknown.
	Reason  string
	Traffic *control.Traffic // Traffic is nil if the kernel does not count the server.
}

// Order is an order of the operator for one real server.
type Order struct {
	Kind            string // Kind is drain, maint, undrain, ready or weight.
	Service, Server string
	Weight          int // Weight is for the kind weight.
}

// Run shows the view until the operator quits or ctx ends.
func Run(ctx context.Context, s Source, in io.Reader, out io.Writer) error {
	p := tea.NewProgram(New(s), tea.WithInput(in), tea.WithOutput(out), tea.WithoutSignalHandler())
	// Not tea.WithContext: at the end of its context, bubbletea closes the input during a read.
	stop := context.AfterFunc(ctx, p.Quit)
	defer stop()
	_, err := p.Run()
	return err
}

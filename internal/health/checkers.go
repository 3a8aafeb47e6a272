package health

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"

	"lvs-agents/internal/check"
	"lvs-agents/internal/config"
	"lvs-agents/internal/pattern"
	"lvs-agents/internal/program"
)

// Tools are the objects that all checks of a daemon share.
type Tools struct {
	Source check.Sourcer // Source chooses the source address of each check.
	Pinger *check.Pinger
	// Dialer opens connections for connect checks, and for HTTP checks without TLS. Nil means
	// check.NetDialer.
	Dialer check.Dialer
	// Roots are the trusted certificate authorities. Nil means the authorities of package x509.
	Roots    *check.Roots
	Oracle   string       // Oracle is the path of the program that connects to an Oracle database.
	Programs *program.Set // Programs limits and runs the programs that checks start. It can be nil.
}

// Checkers returns the function that makes the checker of a probe.
func Checkers(tools Tools) func(Probe) (check.Checker, error) {
	known := patterns{room: pattern.NewRoom()}
	return func(p Probe) (check.Checker, error) {
		if p.Addr.Port() == 0 && p.asksPort() {
			// The reader of the configuration has already reported the missing port.
			return check.Never{Reason: errNoPort}, nil
		}
		if p.Unusable != "" {
			// The reader of the configuration has already reported the error of the check.
			return check.Never{Reason: errors.New(p.Unusable)}, nil
		}
		connect := check.Connect{Addr: p.Addr, Source: tools.Source, Dialer: tools.Dialer}
		switch p.Type {
		case config.Connect:
			return connect, nil
		case config.Ping:
			return check.Ping{Addr: p.Addr.Addr(), Pinger: tools.Pinger, Attempts: p.Attempts}, nil
		case config.UDP:
			t, err := targetOf(p, tools, &known)
			return check.UDP{Target: t}, err
		case config.Negotiate:
			return negotiate(p, tools, &known)
		case config.Combined:
			full, err := negotiate(p, tools, &known)
			return &check.Combined{
				Full: full, Cheap: connect, Times: p.Connects, FullTimeout: p.NegotiateTimeout, CheapTimeout: p.ConnectTimeout,
			}, err
		case config.External:
			return external(p, tools.Programs), nil
		case config.ExternalPerl:
			return external(p, tools.Programs, "perl"), nil
		case config.On, config.Off:
		}
		return nil, fmt.Errorf("checktype=%s has no check", p.Type)
	}
}

// patterns caches compiled patterns, because thousands of real servers can use the same pattern.
type patterns struct {
	room  pattern.Room
	mu    sync.Mutex
	known map[string]check.Pattern
}

func (p *patterns) compile(text string) (check.Pattern, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if known := p.known[text]; known != nil {
		return known, nil
	}
	compiled, err := check.Compile(text, p.room)
	if err != nil {
		return nil, err
	}
	if p.known == nil {
		p.known = map[string]check.Pattern{}
	}
	p.known[text] = compiled
	return compiled, nil
}

var errNoPort = errors.New("no port to check; add checkport=PORT")

// asksPort reports whether the check of a probe needs a port.
func (p Probe) asksPort() bool {
	switch p.Type {
	case config.Negotiate, config.Combined, config.Connect, config.UDP:
		return true
	case config.Ping, config.On, config.Off, config.External, config.ExternalPerl:
	}
	return false
}

// external returns a check that runs a program with the same arguments as ldirectord does.
func external(p Probe, programs *program.Set, interpreter ...string) check.External {
	words := append(interpreter, strings.Fields(p.Command)...)
	words = append(words, p.Virtual, fmt.Sprint(p.VirtualPort), hostText(p.Addr.Addr()), fmt.Sprint(p.Addr.Port()))
	return check.External{Program: words[0], Args: words[1:], Programs: programs}
}

// hostText returns an address as ldirectord passes it to programs: an IPv6 address has brackets.
func hostText(addr netip.Addr) string {
	if addr.Is6() {
		return "[" + addr.String() + "]"
	}
	return addr.String()
}

// targetOf returns the target of the check of a probe: its address, its query and the expected
// reply.
func targetOf(p Probe, tools Tools, known *patterns) (check.Target, error) {
	t := check.Target{
		Addr: p.Addr, UDP: p.UDP, Source: tools.Source, Dialer: tools.Dialer, Method: p.Method, Request: p.Request, Host: p.VirtualHost,
		Status: p.Status.Good, Verify: check.Verify(p.Verify), Roots: tools.Roots, Database: p.Database,
		Login: p.Login.Reveal(), Passwd: p.Passwd.Reveal(), Secret: p.Secret.Reveal(),
	}
	if p.DisableOn != (config.Statuses{}) {
		t.Drains = p.DisableOn.Good
	}
	if p.Receive == "" {
		return t, nil
	}
	receive, err := known.compile(p.Receive)
	if err != nil {
		return t, fmt.Errorf("receive=%q: %w", p.Receive, err)
	}
	t.Receive = receive
	return t, nil
}

// negotiate returns a check that uses the protocol of the probe's application. If the settings of
// the check cannot be used, it returns a check that always fails.
func negotiate(p Probe, tools Tools, known *patterns) (check.Checker, error) {
	t, err := targetOf(p, tools, known)
	if err != nil {
		return nil, err
	}
	t.Helper, t.Programs = tools.Oracle, tools.Programs
	checker, err := check.Negotiate(string(p.Application), t)
	if err != nil {
		return check.Never{Reason: err}, nil // The reader of the configuration has already reported this error.
	}
	return checker, nil
}

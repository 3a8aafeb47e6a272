package health

import (
	"fmt"
	"net/netip"
	"strings"

	"lvs-agents/internal/check"
	"lvs-agents/internal/config"
)

// Checkers makes checks that are sent from addresses that sources chooses.
func Checkers(sources check.Sourcer, pinger *check.Pinger) func(Probe) (check.Checker, error) {
	return func(p Probe) (check.Checker, error) {
		connect := check.Connect{Addr: p.Addr, Source: sources}
		switch p.Type {
		case config.Connect:
			return connect, nil
		case config.Ping:
			return check.Ping{Addr: p.Addr.Addr(), Pinger: pinger, Attempts: p.Attempts}, nil
		case config.Negotiate:
			return negotiate(p, sources)
		case config.Combined:
			full, err := negotiate(p, sources)
			return &check.Combined{Full: full, Cheap: connect, Times: p.Connects}, err
		case config.External:
			return external(p), nil
		case config.ExternalPerl:
			return external(p, "perl"), nil
		case config.On, config.Off:
		}
		return nil, fmt.Errorf("checktype=%s has no check", p.Type)
	}
}

// external runs a program with the arguments that ldirectord gives it.
func external(p Probe, interpreter ...string) check.External {
	words := append(interpreter, strings.Fields(p.Command)...)
	words = append(words, p.Virtual, fmt.Sprint(p.VirtualPort), hostText(p.Addr.Addr()), fmt.Sprint(p.Addr.Port()))
	return check.External{Program: words[0], Args: words[1:]}
}

// hostText is an address as ldirectord hands it to programs: with brackets for IPv6.
func hostText(addr netip.Addr) string {
	if addr.Is6() {
		return "[" + addr.String() + "]"
	}
	return addr.String()
}

// negotiates tells whether there is a check for an application.
func negotiates(a config.Application) bool {
	return a == "http" || a == "https" || a == "http_proxy"
}

func negotiate(p Probe, sources check.Sourcer) (check.Checker, error) {
	c := check.HTTP{Addr: p.Addr, Source: sources, Method: p.Method, Host: p.VirtualHost, Path: p.Request, TLS: p.Application == "https"}
	if c.Host == "" {
		c.Host = p.Addr.String()
	}
	if p.Application != "http_proxy" && !strings.HasPrefix(c.Path, "/") {
		c.Path = "/" + c.Path
	}
	if p.Receive != "" {
		pattern, err := check.Compile(p.Receive)
		if err != nil {
			return nil, fmt.Errorf("receive=%q: %w", p.Receive, err)
		}
		c.Receive = pattern
	}
	return c, nil
}

package health

import (
	"fmt"
	"regexp"

	"lvs-agents/internal/check"
	"lvs-agents/internal/config"
)

// Checkers makes checks that are sent from addresses that sources chooses.
func Checkers(sources check.Sourcer, pinger *check.Pinger) func(Probe) (check.Checker, error) {
	return func(p Probe) (check.Checker, error) {
		switch p.Type {
		case config.Connect:
			return check.Connect{Addr: p.Addr, Source: sources}, nil
		case config.Ping:
			return check.Ping{Addr: p.Addr.Addr(), Pinger: pinger}, nil
		case config.Negotiate:
			return httpChecker(p, sources)
		case config.On, config.Off, config.External, config.ExternalPerl, config.Combined:
		}
		return nil, fmt.Errorf("checktype=%s has no check", p.Type)
	}
}

func httpChecker(p Probe, sources check.Sourcer) (check.Checker, error) {
	c := check.HTTP{Addr: p.Addr, Source: sources, Host: p.VirtualHost, Path: p.Request}
	if c.Host == "" {
		c.Host = p.Addr.String()
	}
	if len(c.Path) == 0 || c.Path[0] != '/' {
		c.Path = "/" + c.Path
	}
	if p.Receive != "" {
		pattern, err := regexp.Compile(p.Receive)
		if err != nil {
			return nil, fmt.Errorf("receive=%q: %w", p.Receive, err)
		}
		c.Receive = pattern
	}
	return c, nil
}

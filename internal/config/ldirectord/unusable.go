package ldirectord

import (
	"lvs-agents/internal/config"
	"lvs-agents/internal/config/fault"
	"lvs-agents/internal/pattern"
)

// receives reports whether a check compares replies with a regular expression.
func receives(c config.Check) bool {
	switch c.Type {
	case config.Negotiate, config.Combined:
		return c.Application != config.NoApplication
	case config.UDP:
		return true
	case config.Connect, config.Ping, config.On, config.Off, config.External, config.ExternalPerl:
	}
	return false
}

// receive validates the regular expressions of a service, and the URLs that its real servers have
// as requests. A fault is an error, but only the real servers that need the expression or the URL
// are refused. With a wrong expression, ldirectord would exit, so it would check no service.
func (p *parser) receive(b *block, c *config.Check, reals []checkedReal) {
	c.Unusable = p.unusable(b.receiveAt, *c, c.Receive, "its real servers are never up")
	for i, r := range reals {
		if r.request == "" {
			continue
		}
		if i > 0 && reals[i-1].Line == r.Line { // Real servers of one range have the same line.
			reals[i].unusable = reals[i-1].unusable
			continue
		}
		reals[i].unusable = p.unusable(statement{line: r.Line}, *c, r.receive, "this real server is never up")
		if _, err := wholeURL(c.Application, r.request); err != nil && receives(*c) && reals[i].unusable == "" {
			f := fault.Of(err)
			p.add(r.Line, 0, config.Refused, fault.New(f.What+", so this real server is never up", f.Fix))
			reals[i].unusable = err.Error()
		}
	}
}

// unusable reports why a regular expression cannot be used, and returns the reason. The reason
// is empty if the expression can be used or has no effect.
func (p *parser) unusable(st statement, c config.Check, text, so string) string {
	err := pattern.Check(text)
	if err == nil {
		return ""
	}
	f := fault.Of(err)
	what := "receive " + fault.Quote(text) + " cannot be used: " + f.What
	if !receives(c) {
		p.add(st.line, st.column, config.Warning, fault.New(what+"; it has no effect here", f.Fix))
		return ""
	}
	p.add(st.line, st.column, config.Refused, fault.New(what+", so "+so, f.Fix))
	return fault.Printable(hideSecrets(fault.New(what, f.Fix).Error()))
}

package ldirectord

import (
	"lvs-agents/internal/config"
	"lvs-agents/internal/config/fault"
	"lvs-agents/internal/pattern"
)

// receives reports whether answers are compared with a regular expression.
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

// receive judges the regular expressions of a service. One that cannot be used is
// an error, yet only its real servers are refused: Perl's program would end, and
// with it the checks of all services.
func (p *parser) receive(b *block, s *config.Service) {
	s.Check.Unusable = p.unusable(b.receiveAt, s.Check, s.Check.Receive, "its real servers are never up")
	for i, r := range s.Reals {
		if r.Request == "" {
			continue
		}
		if i > 0 && s.Reals[i-1].Line == r.Line { // of one range
			s.Reals[i].Unusable = s.Reals[i-1].Unusable
			continue
		}
		s.Reals[i].Unusable = p.unusable(statement{line: r.Line}, s.Check, r.Receive, "this real server is never up")
		if _, err := config.WholeURL(s.Check.Application, r.Request); err != nil && receives(s.Check) && s.Reals[i].Unusable == "" {
			f := fault.Of(err)
			p.add(r.Line, 0, config.Refused, fault.New(f.What+", so this real server is never up", f.Fix))
			s.Reals[i].Unusable = err.Error()
		}
	}
}

// unusable is why a regular expression cannot be used, which it reports.
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

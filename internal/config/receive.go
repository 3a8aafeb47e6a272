package config

import (
	"cmp"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"lvs-agents/internal/config/fault"
	"lvs-agents/internal/pattern"
)

// receives reports whether answers are compared with a regular expression.
func (c Check) receives() bool {
	switch c.Type {
	case Negotiate, Combined:
		return c.Application != NoApplication
	case UDP:
		return true
	case Connect, Ping, On, Off, External, ExternalPerl:
	}
	return false
}

// receive judges the regular expressions of a service. One that cannot be used is
// an error, yet only its real servers are refused: Perl's program would end, and
// with it the checks of all services.
func (p *parser) receive(b *block, s *Service) {
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
		if _, err := WholeURL(s.Check.Application, r.Request); err != nil && s.Check.receives() && s.Reals[i].Unusable == "" {
			f := fault.Of(err)
			p.add(r.Line, 0, Refused, fault.New(f.What+", so this real server is never up", f.Fix))
			s.Reals[i].Unusable = err.Error()
		}
	}
}

// WholeURL returns the URL that the request of a real server is, of what else is
// asked; nil if it is not one. Its error never has a login.
func WholeURL(application Application, request string) (*url.URL, error) {
	scheme, _, whole := strings.Cut(request, "://")
	if !whole || scheme != string(application) || scheme != "http" && scheme != "https" {
		return nil, nil //nolint:nilnil // neither a URL nor an error
	}
	target, err := url.Parse(request)
	if err != nil {
		return nil, fault.Errorf("what is special in a login is written as %XX", "request is not a URL")
	}
	if _, err := strconv.ParseUint(cmp.Or(target.Port(), "1"), 10, 16); err != nil {
		return nil, fault.Errorf("", "request: port %s is not a number from 1 to 65535", target.Port())
	}
	return target, nil
}

// unusable is why a regular expression cannot be used, which it reports.
func (p *parser) unusable(st statement, c Check, text, so string) string {
	err := pattern.Check(text)
	if err == nil {
		return ""
	}
	f := fault.Of(err)
	what := "receive " + fault.Quote(text) + " cannot be used: " + f.What
	if !c.receives() {
		p.add(st.line, st.column, Warning, fault.New(what+"; it has no effect here", f.Fix))
		return ""
	}
	p.add(st.line, st.column, Refused, fault.New(what+", so "+so, f.Fix))
	return fault.Printable(hideSecrets(fault.New(what, f.Fix).Error()))
}

// refusesAll reports whether no real server of the file can ever be up.
func (c *Config) refusesAll() bool {
	works := func(s Service) bool { return !s.refused() }
	return len(c.Services) > 0 && !slices.ContainsFunc(c.Services, works)
}

// refused reports whether no real server of the service can ever be up.
func (s Service) refused() bool {
	for _, r := range s.Reals {
		if r.Request == "" && s.Check.Unusable == "" || r.Request != "" && r.Unusable == "" {
			return false
		}
	}
	return len(s.Reals) > 0 || s.Check.Unusable != ""
}

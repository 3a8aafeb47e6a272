package pattern

import "strings"

// brackets parses a class, […].
func (p *parser) brackets() *node {
	start := p.at
	p.at++
	not := p.take("^")
	var found set
	var spans []span
	for first := true; ; first = false {
		for p.flags.classSpaced && (p.take(" ") || p.take("\t")) {
			continue
		}
		if !p.more() {
			if p.err == nil {
				p.at = start
			}
			return p.fail("no closing bracket", `write \[ for a bracket`)
		}
		if p.peek("]") && !first {
			break
		}
		low, several, one := p.member()
		found.join(several)
		if !one {
			continue
		}
		if high, ranged := p.rangeEnd(); ranged {
			if high < low {
				return p.fail("a range that is reversed", "")
			}
			spans = append(spans, span{low, high})
			continue
		}
		spans = append(spans, span{low, low})
	}
	p.at++
	found.join(spanned(spans, p.flags.rules, p.flags.fold))
	if not {
		found = found.inverse()
	}
	return &node{kind: bytesOf, set: found}
}

// member parses one character, or an item for several characters, such as \d.
func (p *parser) member() (c rune, several set, one bool) {
	switch {
	case p.peek("[:"), p.peek("[."), p.peek("[="):
		if found, is := p.posix(); is {
			return 0, found, false
		}
	case p.peek(`\`) && p.at+1 < len(p.text):
		p.at++
		if found, is := p.shorthand(); is {
			return 0, found, false
		}
		if p.take("b") {
			return '\b', set{}, true
		}
		return p.character(), set{}, true
	}
	p.at++
	return rune(p.text[p.at-1]), set{}, true
}

// rangeEnd parses "-" and the last character of a range. Before the end of the class and before an
// item for several characters, "-" is an ordinary character.
func (p *parser) rangeEnd() (c rune, ranged bool) {
	before := p.at
	for p.flags.classSpaced && (p.take(" ") || p.take("\t")) {
		continue
	}
	if !p.take("-") || !p.more() || p.peek("]") {
		p.at = before
		return 0, false
	}
	for p.flags.classSpaced && (p.take(" ") || p.take("\t")) {
		continue
	}
	if !p.more() || p.peek("]") {
		p.at = before
		return 0, false
	}
	if high, _, one := p.member(); one {
		return high, true
	}
	p.at = before
	return 0, false
}

// posix parses [:NAME:] and [:^NAME:].
func (p *parser) posix() (found set, is bool) {
	kind := p.text[p.at+1 : p.at+2]
	name, _, closed := strings.Cut(p.text[p.at+2:], kind+"]")
	bare := strings.TrimPrefix(name, "^")
	if !closed || strings.Trim(bare, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") != "" {
		return set{}, false
	}
	found, known := class(bare, p.flags.rules, p.flags.fold)
	if !known || kind != ":" || bare == "cased" {
		p.fail("unknown class ["+kind+name+kind+"]", "")
	}
	p.at = min(p.at+len(name)+4, len(p.text))
	if bare != name {
		found = found.inverse()
	}
	return found, true
}

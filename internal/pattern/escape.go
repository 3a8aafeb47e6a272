package pattern

import (
	"strconv"
	"strings"
)

// backslash parses an escape outside of brackets.
func (p *parser) backslash() *node {
	start := p.at
	if p.at++; !p.more() {
		p.at = start
		return p.fail("a backslash at the end", `write \\`)
	}
	c := p.text[p.at]
	p.at++
	switch c {
	case 'A', 'G': // Without a previous match, \G is the start of the text.
		return &node{kind: assertion, place: atStart}
	case 'z':
		return &node{kind: assertion, place: atEnd}
	case 'Z':
		return &node{kind: assertion, place: beforeEnd}
	case 'b', 'B':
		return p.boundary(start, c == 'b')
	case 'K':
		return &node{} // \K changes only which text was matched. The package does not return that text.
	case 'R':
		single := vertical()
		pair := &node{subs: []*node{p.plain('\r'), p.plain('\n')}}
		return &node{kind: atomic, subs: []*node{{kind: alternative, subs: []*node{pair, {kind: bytesOf, set: single}}}}}
	case 'X':
		pair := &node{subs: []*node{p.plain('\r'), p.plain('\n')}}
		return &node{kind: atomic, subs: []*node{{kind: alternative, subs: []*node{pair, {kind: bytesOf, set: set{}.inverse()}}}}}
	case 'k':
		return p.byName(start)
	case 'g':
		return p.byNumber(start)
	case 'C':
		return p.refuse(start, `\C`, "write (?s:.)")
	case '1', '2', '3', '4', '5', '6', '7', '8', '9':
		p.at--
		if n := p.backReference(start); n != nil {
			return n
		}
	case 'N':
		if !p.peek("{U+") {
			if name := p.text[p.at:]; strings.HasPrefix(name, "{") && !p.repeats() {
				return p.refuse(start, `\N{NAME}`, `write the number of the character, as \x{e9}`)
			}
			return &node{kind: bytesOf, set: newline().inverse()}
		}
		p.at--
	default:
		p.at--
	}
	if found, is := p.shorthand(); is {
		return &node{kind: bytesOf, set: found}
	}
	return p.literal(p.character())
}

// repeats reports whether the next characters are a quantifier.
func (p *parser) repeats() bool {
	before := p.at
	_, _, found := p.quantifier()
	p.at = before
	return found
}

// plain returns the node of a byte. Flags have no effect on it.
func (p *parser) plain(b byte) *node {
	n := &node{kind: bytesOf}
	n.set.add(b)
	return n
}

func (p *parser) boundary(start int, at bool) *node {
	n := &node{kind: assertion, place: insideWords, wide: p.flags.rules.wide()}
	if at {
		n.place = atWord
	}
	if p.peek("{") && !p.repeats() {
		return p.refuse(start, `\b{…}`, `write \b`)
	}
	return n
}

// byName parses \k<NAME>, \k'NAME' and \k{NAME}.
func (p *parser) byName(start int) *node {
	for open, end := range map[string]string{"<": ">", "'": "'", "{": "}"} {
		if p.take(open) {
			return p.referenceTo(start, end)
		}
	}
	p.at = start
	return p.fail(`\k without the name of a group`, "")
}

// byNumber parses \g1, \g-1, \g{1}, \g{-1} and \g{NAME}.
func (p *parser) byNumber(start int) *node {
	if p.take("{") {
		return p.referenceTo(start, "}")
	}
	rest := p.text[p.at:]
	signed := strings.TrimPrefix(rest, "-")
	length := len(rest) - len(strings.TrimLeft(signed, "0123456789"))
	p.at += length
	if length == len(rest)-len(signed) {
		p.at = start
		return p.fail(`\g without the number of a group`, "")
	}
	return p.reference(start, rest[:length])
}

// backReference parses \1 to \9, and larger numbers if the expression has so many groups. It
// returns nil for an octal number.
func (p *parser) backReference(start int) *node {
	rest := p.text[p.at:]
	text := rest[:len(rest)-len(strings.TrimLeft(rest, "0123456789"))]
	if n := number(text); n > 9 && text[0] < '8' && (p.before == nil || n > p.before.groups) {
		return nil
	}
	p.at += len(text)
	return p.reference(start, text)
}

// shorthand parses \d, \p{…} and other escapes for several characters.
func (p *parser) shorthand() (found set, is bool) {
	c := p.text[p.at]
	name := map[byte]string{'d': "digit", 's': "space", 'w': "word"}[c|0x20]
	switch {
	case name != "":
		found, _ = class(name, p.flags.rules, false)
	case c|0x20 == 'h':
		found = horizontal()
	case c|0x20 == 'v':
		found = vertical()
	case c|0x20 == 'p':
		return p.property(), true
	default:
		return set{}, false
	}
	p.at++
	if c < 'a' {
		found = found.inverse()
	}
	return found, true
}

// property parses p{NAME}, pL, P{NAME} and p{^NAME}.
func (p *parser) property() set {
	start := p.at - 1
	not := p.text[p.at] == 'P'
	p.at++
	p.unicode = true
	name := ""
	switch {
	case p.take("{"):
		name, _ = p.until("}")
	case p.more():
		name = p.text[p.at : p.at+1]
		p.at++
	}
	name = strings.Trim(name, " \t")
	if bare, found := strings.CutPrefix(name, "^"); found {
		name, not = bare, !not
	}
	found, known := property(name, p.flags.fold)
	if !known {
		p.refuse(start, `\p{`+name+"}", "write the characters as a class, […]")
	}
	if not {
		return found.inverse()
	}
	return found
}

// character parses an escape for one character. An escaped letter without a meaning is the letter
// itself. This includes \Q, \E and \L: Perl interprets them only in its source text, not in an
// expression from a file.
func (p *parser) character() rune {
	c := p.text[p.at]
	p.at++
	simple := map[byte]rune{'a': 7, 'e': 27, 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}
	if found, is := simple[c]; is {
		return found
	}
	switch c {
	case 'x':
		return p.hexadecimal()
	case 'o':
		return p.octalBraces()
	case 'c':
		return p.control()
	case 'N':
		if p.take("{U+") {
			p.unicode = true
			text, _ := p.until("}")
			return p.value(text, 16)
		}
		p.fail(`\N in a class`, `write \n, or [^\n] outside`)
	case '0', '1', '2', '3', '4', '5', '6', '7':
		p.at--
		return p.octal()
	}
	return rune(c)
}

func (p *parser) octal() rune {
	rest := p.text[p.at:min(p.at+3, len(p.text))]
	text := rest[:len(rest)-len(strings.TrimLeft(rest, "01234567"))]
	p.at += len(text)
	return p.value(text, 8)
}

func (p *parser) octalBraces() rune {
	if !p.take("{") {
		p.fail(`\o without braces`, `write \o{…}`)
		return 0
	}
	text, _ := p.until("}")
	return p.value(strings.Trim(text, " \t"), 8)
}

func (p *parser) hexadecimal() rune {
	if p.take("{") {
		text, _ := p.until("}")
		return p.value(strings.Trim(text, " \t"), 16)
	}
	rest := p.text[p.at:min(p.at+2, len(p.text))]
	text := rest[:len(rest)-len(strings.TrimLeft(rest, "0123456789abcdefABCDEF"))]
	p.at += len(text)
	return p.value(text, 16)
}

func (p *parser) control() rune {
	if !p.more() || p.text[p.at] < ' ' || p.text[p.at] > '~' {
		p.fail(`\c without a character`, "")
		return 0
	}
	c := p.text[p.at]
	p.at++
	if c >= 'a' && c <= 'z' {
		c -= 'a' - 'A'
	}
	return rune(c ^ 64)
}

// value returns the character with a number.
func (p *parser) value(digits string, base int) rune {
	n, err := strconv.ParseUint("0"+strings.ReplaceAll(digits, "_", ""), base, 31)
	if err != nil {
		p.fail("the number of a character is not valid", "")
	}
	if n > 255 {
		p.unicode = true
	}
	return rune(n)
}

package pattern

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Error is the reason why an expression cannot be used.
type Error struct {
	At   int // At is the position of the fault in the expression. The first byte has position 1.
	What string
	Fix  string // Fix says how to write the expression. It can be empty.
}

// Error returns the text of What and the position of the fault. If Fix is not empty, the text also
// says how to write the expression.
func (e *Error) Error() string {
	text := fmt.Sprintf("%s at character %d", e.What, e.At)
	if e.Fix != "" {
		text += "; " + e.Fix
	}
	return text
}

// The limits of Perl for the count of a repetition, the bytes that a look-behind goes back, and
// nested parentheses.
const (
	maxRepeat = 65534
	maxBehind = 255
	maxNested = 1000
)

// flags are the flags that (?…) can set.
type flags struct {
	fold, lines, all, spaced, classSpaced, unnumbered bool // Perl writes these flags i, m, s, x, xx, n.
	rules                                             rules
}

// parser parses an expression. After the first error it is at the end of the text.
type parser struct {
	text    string
	at      int
	flags   flags
	groups  int // groups is the number of groups that the parser has numbered so far.
	nested  int
	names   map[string][]int
	behinds []*node
	unicode bool    // unicode says that the expression contains Unicode, such as \p{…}.
	before  *parser // before is the parser of the first pass. It is nil in the first pass itself.
	err     *Error
}

// parse parses a regular expression of Perl in two passes. The first pass counts the groups. It
// also finds out whether the expression contains Unicode: with a single \p{…}, the rules of Unicode
// hold for the whole expression.
func parse(text string) (*node, int, error) {
	first := &parser{text: text, names: map[string][]int{}}
	first.whole()
	second := &parser{text: text, names: map[string][]int{}, before: first, unicode: first.unicode}
	if first.unicode {
		second.flags.rules = letters
	}
	n := second.whole()
	if second.err != nil {
		return nil, 0, second.err
	}
	return n, second.groups, nil
}

func (p *parser) whole() *node {
	n := p.alternatives(false)
	if p.at < len(p.text) {
		p.fail("a closing parenthesis without an opening one", `write \)`)
	}
	for _, behind := range p.behinds {
		if _, most := behind.subs[0].widths(); most == unlimited || most > maxBehind {
			p.at = 0
			p.fail(fmt.Sprintf("a look-behind whose length has no limit, or more than %d characters,", maxBehind), "limit its repetitions")
		}
	}
	return n
}

// fail ends the parser with an error at its current position. Only the first error is kept.
func (p *parser) fail(what, fix string) *node {
	if p.err == nil {
		p.err = &Error{At: min(p.at, max(0, len(p.text)-1)) + 1, What: what, Fix: fix}
	}
	p.at = len(p.text)
	return &node{}
}

// refuse ends the parser with an error at start, where the expression uses a construct of Perl that
// this package does not support.
func (p *parser) refuse(start int, construct, fix string) *node {
	p.at = start
	return p.fail(construct+" is not understood", fix)
}

func (p *parser) more() bool { return p.at < len(p.text) }

// peek reports whether a prefix is next in the expression.
func (p *parser) peek(prefix string) bool { return strings.HasPrefix(p.text[p.at:], prefix) }

// take skips a prefix if the prefix is next in the expression, and reports whether it was.
func (p *parser) take(prefix string) bool {
	found := p.peek(prefix)
	if found {
		p.at += len(prefix)
	}
	return found
}

// until returns the text before the next occurrence of the string end. It skips the text and that
// string.
func (p *parser) until(end string) (string, bool) {
	inner, _, found := strings.Cut(p.text[p.at:], end)
	if !found {
		p.fail("no "+end+" follows", "")
		return "", false
	}
	p.at += len(inner) + len(end)
	return inner, true
}

// skip skips comments in the expression. With the flag x, skip also skips white space.
func (p *parser) skip() {
	for p.more() {
		switch c := p.text[p.at]; {
		case p.take("(?#"):
			p.until(")")
		case p.flags.spaced && strings.IndexByte(" \t\n\v\f\r\x85", c) >= 0:
			p.at++
		case p.flags.spaced && c == '#':
			_, rest, _ := strings.Cut(p.text[p.at:], "\n")
			p.at = len(p.text) - len(rest)
		default:
			return
		}
	}
}

// alternatives parses alternatives, up to a closing parenthesis or the end of the expression. With
// reset, the group numbers of every alternative begin with the same number, as in (?|…).
func (p *parser) alternatives(reset bool) *node {
	before, most := p.groups, p.groups
	n := &node{kind: alternative}
	for {
		n.subs = append(n.subs, p.sequence())
		most = max(most, p.groups)
		if !p.take("|") {
			break
		}
		if reset {
			p.groups = before
		}
	}
	p.groups = most
	if len(n.subs) == 1 {
		return n.subs[0]
	}
	return n
}

func (p *parser) sequence() *node {
	n := &node{}
	for p.skip(); p.more() && !p.peek("|") && !p.peek(")"); p.skip() {
		if item := p.quantified(); item != nil {
			n.subs = append(n.subs, item)
		}
	}
	return n
}

// quantified parses an item and its quantifier. It returns nil for an item that only sets flags.
func (p *parser) quantified() *node {
	item := p.item()
	if item == nil {
		return nil
	}
	p.skip()
	least, most, found := p.quantifier()
	if !found || p.err != nil {
		return item
	}
	if least > maxRepeat || most > maxRepeat {
		return p.fail(fmt.Sprintf("a repetition of more than %d times", maxRepeat), "")
	}
	n := &node{kind: repeat, subs: []*node{item}, least: least, most: most}
	p.skip()
	switch {
	case p.take("?"):
		n.lazy = true
	case p.take("+"):
		n = &node{kind: atomic, subs: []*node{n}}
	}
	p.skip()
	if _, _, again := p.quantifier(); again {
		return p.fail("nested quantifiers", "put the inner one into (?:…)")
	}
	if most != unlimited && most < least {
		return &node{kind: bytesOf} // The empty set never matches.
	}
	return n
}

// quantifier parses *, +, ? or {n,m}.
func (p *parser) quantifier() (least, most int, found bool) {
	switch {
	case p.take("*"):
		return 0, unlimited, true
	case p.take("+"):
		return 1, unlimited, true
	case p.take("?"):
		return 0, 1, true
	case !p.peek("{"):
		return 0, 0, false
	}
	inner, _, closed := strings.Cut(p.text[p.at+1:], "}")
	low, high, ranged := strings.Cut(inner, ",")
	low, high = strings.Trim(low, " \t"), strings.Trim(high, " \t")
	if !closed || low == "" && high == "" || !digits(low) || !digits(high) {
		return 0, 0, false
	}
	p.at += len(inner) + 2
	least = number(low)
	switch {
	case !ranged:
		most = least
	case high == "":
		most = unlimited
	default:
		most = number(high)
	}
	return least, most, true
}

func digits(text string) bool { return strings.Trim(text, "0123456789") == "" }

// number returns the value of digits, at most 1<<30. That number is larger than every limit.
func number(text string) int {
	n, err := strconv.Atoi("0" + text)
	if err != nil || n > 1<<30 {
		return 1 << 30
	}
	return n
}

// item parses a part of an expression that a quantifier can repeat. It returns nil if the part only
// sets flags.
func (p *parser) item() *node {
	c := p.text[p.at]
	switch c {
	case '(':
		return p.parenthesis()
	case '[':
		return p.brackets()
	case '\\':
		return p.backslash()
	case '*', '+', '?':
		return p.fail("a quantifier that follows nothing", `write \`+string(c))
	}
	p.at++
	switch c {
	case '.':
		if p.flags.all {
			return &node{kind: bytesOf, set: set{}.inverse()}
		}
		return &node{kind: bytesOf, set: newline().inverse()}
	case '^':
		if p.flags.lines {
			return &node{kind: assertion, place: atLine}
		}
		return &node{kind: assertion, place: atStart}
	case '$':
		if p.flags.lines {
			return &node{kind: assertion, place: atLineEnd}
		}
		return &node{kind: assertion, place: beforeEnd}
	}
	return p.literal(rune(c))
}

// literal returns the node of one character. A reply consists of bytes, so a character above 255
// matches only with the flag i: (?i)\x{212a} matches k.
func (p *parser) literal(c rune) *node {
	return &node{kind: bytesOf, set: spanned([]span{{c, c}}, p.flags.rules, p.flags.fold)}
}

func (p *parser) parenthesis() *node {
	start, saved := p.at, p.flags
	p.at++
	if p.nested++; p.nested > maxNested {
		return p.fail(fmt.Sprintf("more than %d nested parentheses", maxNested), "")
	}
	defer func() { p.nested-- }()
	if p.take("*") {
		return p.verb(start)
	}
	if !p.take("?") {
		if p.flags.unnumbered {
			return p.closed(saved, p.alternatives(false))
		}
		return p.numbered(saved, "")
	}
	for _, kind := range []struct {
		prefix string
		node   node
	}{
		{"=", node{kind: look}}, {"!", node{kind: look, not: true}}, {"<=", node{kind: look, behind: true}},
		{"<!", node{kind: look, behind: true, not: true}}, {">", node{kind: atomic}},
	} {
		if p.take(kind.prefix) {
			return p.around(saved, kind.node)
		}
	}
	switch {
	case p.take("|"):
		return p.closed(saved, p.alternatives(true))
	case p.take("<"), p.take("P<"):
		return p.named(saved, ">")
	case p.take("'"):
		return p.named(saved, "'")
	case p.take("P="):
		return p.referenceTo(start, ")")
	case p.take("P>"), p.take("&"):
		return p.callName(start)
	case p.take("("):
		return p.conditional(start, saved)
	case p.peek("{"), p.peek("?{"), p.peek("p{"):
		return p.refuse(start, "code inside an expression, (?{…}),", "Perl refuses it in ldirectord, too")
	case p.peek("["):
		return p.refuse(start, "an extended class, (?[…]),", "write an ordinary class, […]")
	case p.take("R"):
		return p.callNumber(start, "0")
	}
	if sign := strings.TrimLeft(p.text[p.at:], "+-"); sign != "" && sign[0] >= '0' && sign[0] <= '9' {
		inner, found := p.until(")")
		if found {
			p.at-- // The function callNumber skips the closing parenthesis, so p.at goes back to it.
		}
		return p.callNumber(start, inner)
	}
	return p.switches(start, saved)
}

// closed skips the closing parenthesis of a group, and restores the flags from before the group.
func (p *parser) closed(saved flags, n *node) *node {
	if !p.take(")") {
		p.fail("no closing parenthesis", "")
	}
	p.flags = saved
	return n
}

func (p *parser) around(saved flags, n node) *node {
	n.subs = []*node{p.closed(saved, p.alternatives(false))}
	if n.behind {
		p.behinds = append(p.behinds, &n)
	}
	return &n
}

func (p *parser) numbered(saved flags, name string) *node {
	p.groups++
	n := &node{kind: group, number: p.groups}
	if name != "" && !slices.Contains(p.names[name], n.number) {
		p.names[name] = append(p.names[name], n.number)
	}
	n.subs = []*node{p.closed(saved, p.alternatives(false))}
	return n
}

func (p *parser) named(saved flags, end string) *node {
	name, found := p.until(end)
	if found && !validName(name) {
		return p.fail("a group without a valid name", "")
	}
	return p.numbered(saved, name)
}

func validName(name string) bool {
	return name != "" && strings.Trim(name[:1], "0123456789") != "" &&
		strings.Trim(strings.ToLower(name), "abcdefghijklmnopqrstuvwxyz0123456789_") == ""
}

// groupsOf returns the numbers of the groups with a name, or with a number such as 1, +1 or -1. It
// returns nil if there is no such group.
func (p *parser) groupsOf(name string) []int {
	all, names := p.groups, p.names
	if p.before != nil {
		all, names = max(p.groups, p.before.groups), p.before.names
	}
	bare := strings.TrimLeft(name, "+-")
	if bare == "" || !digits(bare) || len(name)-len(bare) > 1 {
		if p.before == nil {
			return []int{0} // In the first pass, the group can still follow in the expression.
		}
		return names[name]
	}
	n := number(bare)
	switch name[0] {
	case '-':
		n = p.groups + 1 - n
	case '+':
		n += p.groups
	}
	if n < 0 || name[0] == '-' && n == 0 || n > all && p.before != nil {
		return nil
	}
	return []int{n}
}

// referenceTo parses the rest of a reference such as \k<NAME>: the name, and the delimiter end that
// closes the name. For \k<NAME>, the delimiter is ">".
func (p *parser) referenceTo(start int, end string) *node {
	name, found := p.until(end)
	if !found {
		return &node{}
	}
	return p.reference(start, strings.Trim(name, " \t"))
}

func (p *parser) reference(start int, name string) *node {
	numbers := p.groupsOf(name)
	if numbers == nil || name == "0" {
		p.at = start
		return p.fail("a reference to a group that does not exist", "")
	}
	return &node{kind: reference, numbers: numbers, fold: p.flags.fold, wide: p.flags.rules != native}
}

func (p *parser) callName(start int) *node {
	name, found := p.until(")")
	numbers := p.groupsOf(name)
	if !found || numbers == nil || digits(name) {
		p.at = start
		return p.fail("a call of a group that does not exist", "")
	}
	return &node{kind: call, number: numbers[0]}
}

func (p *parser) callNumber(start int, name string) *node {
	numbers := p.groupsOf(name)
	if numbers == nil || !p.take(")") {
		p.at = start
		return p.fail("a call of a group that does not exist", "")
	}
	return &node{kind: call, number: numbers[0]}
}

// conditional parses a condition with two expressions, (?(…)yes|no), after its second parenthesis.
func (p *parser) conditional(start int, saved flags) *node {
	n := &node{kind: condition}
	var around *node
	switch {
	case p.peek("?="), p.peek("?!"), p.peek("?<"), p.peek("*"):
		p.at--
		if around = p.parenthesis(); around.kind != look {
			return p.refuse(start, "this condition, (?(…)…),", "")
		}
	case p.take("DEFINE)"):
		return &node{kind: definition, subs: []*node{p.closed(saved, p.alternatives(false))}}
	default:
		name, _ := p.until(")")
		if !p.holds(n, name) {
			p.at = start
			return p.fail("a condition about a group that does not exist", "")
		}
	}
	n.subs = []*node{p.sequence(), {}}
	if p.take("|") {
		n.subs[1] = p.sequence()
	}
	if p.closed(saved, nil); around == nil {
		return n
	}
	otherwise := *around
	otherwise.not = !around.not
	yes := &node{subs: []*node{around, n.subs[0]}}
	return &node{kind: alternative, subs: []*node{yes, {subs: []*node{&otherwise, n.subs[1]}}}}
}

// holds parses the condition of (?(…)yes|no) into the node, and reports whether the condition is
// valid. The condition is a group (1, <NAME> or 'NAME') or a recursion (R, R1 or R&NAME).
func (p *parser) holds(n *node, name string) bool {
	if recursion, found := strings.CutPrefix(name, "R"); found && (recursion == "" || recursion[0] == '&' || digits(recursion)) {
		n.recursion, n.number = true, unlimited
		if recursion == "" {
			return true
		}
		numbers := p.groupsOf(strings.TrimPrefix(recursion, "&"))
		if numbers != nil {
			n.number = numbers[0]
		}
		return numbers != nil
	}
	bare := strings.Trim(name, "<>'")
	if bare == name && !digits(name) {
		return false
	}
	if digits(bare) && bare == name {
		n.numbers = []int{number(bare)} // A condition about a group that does not exist is false.
		return true
	}
	n.numbers = p.groupsOf(bare)
	return n.numbers != nil
}

// verb parses a construct that begins with (*, such as (*pla:…) or (*FAIL).
func (p *parser) verb(start int) *node {
	name := p.text[p.at:]
	name = name[:len(name)-len(strings.TrimLeft(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_"))]
	p.at += len(name)
	kinds := map[string]node{
		"pla": {kind: look}, "positive_lookahead": {kind: look}, "nla": {kind: look, not: true}, "negative_lookahead": {kind: look, not: true},
		"plb": {kind: look, behind: true}, "positive_lookbehind": {kind: look, behind: true},
		"nlb": {kind: look, behind: true, not: true}, "negative_lookbehind": {kind: look, behind: true, not: true},
		"atomic": {kind: atomic},
	}
	kind, known := kinds[name]
	switch {
	case known && p.take(":"):
		return p.around(p.flags, kind)
	case (name == "FAIL" || name == "F") && p.take(")"):
		return &node{kind: bytesOf} // The empty set never matches.
	}
	return p.refuse(start, "(*"+name+")", "write the expression without it")
}

// switches parses flags, as in (?i) and (?i:…).
func (p *parser) switches(start int, saved flags) *node {
	if p.take("^") {
		p.flags = flags{}
		if p.unicode && p.before != nil {
			p.flags.rules = letters
		}
	}
	on := true
	for p.more() {
		c := p.text[p.at]
		p.at++
		switch c {
		case ':':
			return p.closed(saved, p.alternatives(false))
		case ')':
			return nil
		case '-':
			on = false
		case 'i':
			p.flags.fold = on
		case 'm':
			p.flags.lines = on
		case 's':
			p.flags.all = on
		case 'x':
			p.flags.spaced, p.flags.classSpaced = on, on && p.take("x")
		case 'n':
			p.flags.unnumbered = on
		case 'a':
			p.flags.rules = ascii
			if p.take("a") {
				p.flags.rules = strict
			}
		case 'u':
			p.flags.rules = letters
		case 'd':
			p.flags.rules = native
			if p.unicode && p.before != nil {
				p.flags.rules = letters
			}
		case 'p', 'o', 'g', 'c': // These flags of Perl have no effect inside an expression.
		case 'l':
			return p.refuse(start, "the flag l, which follows the daemon's locale,", "delete the l")
		default:
			return p.refuse(start, "(?"+printable(c), `for a parenthesis write \(`)
		}
	}
	p.at = start
	return p.fail("no closing parenthesis", "")
}

func printable(c byte) string {
	if c < ' ' || c > '~' {
		return fmt.Sprintf(`\x%02x`, c)
	}
	return string(rune(c))
}

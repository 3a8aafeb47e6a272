package pattern

import (
	"slices"
	"strings"
	"unicode"
)

// set is a set of bytes. A byte is the character of the same number, as in Perl.
type set [4]uint64

func (s *set) add(b byte)      { s[b>>6] |= 1 << (b & 63) }
func (s *set) has(b byte) bool { return s[b>>6]&(1<<(b&63)) != 0 }

func (s *set) join(other set) {
	for i := range s {
		s[i] |= other[i]
	}
}

func (s set) inverse() set {
	for i := range s {
		s[i] = ^s[i]
	}
	return s
}

// setOf returns the set of the bytes where a function returns true.
func setOf(has func(r rune) bool) (s set) {
	for r := range rune(256) {
		if has(r) {
			s.add(byte(r))
		}
	}
	return s
}

// rules select the characters beyond ASCII that are letters.
type rules uint8

const (
	// native: no character beyond ASCII is a letter. Perl's flag d has this effect if the expression
	// contains no Unicode.
	native rules = iota
	// ascii: no character beyond ASCII is a letter, but upper and lower case of the letters of
	// Unicode are equal if case is ignored. Perl's flag is a.
	ascii
	// strict is like ascii, but a character beyond ASCII never equals an ASCII character. Perl's
	// flag is aa.
	strict
	// letters: the letters of Unicode are letters. Perl's flag is u.
	letters
)

func (r rules) wide() bool { return r == letters }

// classes returns the POSIX classes by name. They use the properties of Unicode.
func classes() map[string]func(r rune) bool {
	properties := unicode.Properties
	upper := func(r rune) bool { return unicode.IsUpper(r) || unicode.Is(properties["Other_Uppercase"], r) }
	lower := func(r rune) bool { return unicode.IsLower(r) || unicode.Is(properties["Other_Lowercase"], r) }
	alpha := func(r rune) bool { return unicode.IsLetter(r) || unicode.Is(properties["Other_Alphabetic"], r) }
	cntrl := func(r rune) bool { return unicode.Is(unicode.Cc, r) }
	graph := func(r rune) bool { return !unicode.IsSpace(r) && !cntrl(r) }
	blank := func(r rune) bool { return r == '\t' || unicode.Is(unicode.Zs, r) }
	return map[string]func(r rune) bool{
		"alpha": alpha, "upper": upper, "lower": lower, "cntrl": cntrl, "graph": graph, "blank": blank,
		"digit": unicode.IsDigit, "space": unicode.IsSpace,
		"cased": func(r rune) bool { return upper(r) || lower(r) },
		"alnum": func(r rune) bool { return alpha(r) || unicode.IsDigit(r) },
		"word":  func(r rune) bool { return alpha(r) || unicode.IsDigit(r) || r == '_' },
		"print": func(r rune) bool { return (graph(r) || blank(r)) && !cntrl(r) },
		"punct": func(r rune) bool { return unicode.IsPunct(r) || r < unicode.MaxASCII && unicode.IsSymbol(r) },
		"ascii": func(r rune) bool { return r <= unicode.MaxASCII },
		"xdigit": func(r rune) bool {
			return r <= unicode.MaxASCII && (unicode.IsDigit(r) || strings.ContainsRune("abcdefABCDEF", r))
		},
	}
}

// class returns a POSIX class under rules. If case is ignored, upper and lower match both cases.
func class(name string, r rules, fold bool) (set, bool) {
	if fold && (name == "upper" || name == "lower") {
		name = "cased"
	}
	has, known := classes()[name]
	if !known {
		return set{}, false
	}
	return setOf(func(c rune) bool { return (r.wide() || c <= unicode.MaxASCII) && has(c) }), true
}

// vertical and horizontal return the bytes of \v and \h. They do not depend on the rules.
func vertical() set   { return setOf(func(r rune) bool { return r >= '\n' && r <= '\r' || r == 0x85 }) }
func horizontal() set { return setOf(func(r rune) bool { return r == '\t' || r == ' ' || r == 0xa0 }) }
func newline() set    { return setOf(func(r rune) bool { return r == '\n' }) }

// folded returns a character and the characters that equal it if case is ignored.
func folded(r rune, by rules) []rune {
	all := []rune{r}
	if by == native {
		if r < unicode.MaxASCII && unicode.IsLetter(r) {
			all = append(all, r^0x20)
		}
		return all
	}
	for next := unicode.SimpleFold(r); next != r; next = unicode.SimpleFold(next) {
		if by != strict || (next > unicode.MaxASCII) == (r > unicode.MaxASCII) {
			all = append(all, next)
		}
	}
	return all
}

// span is a range of characters from first to last.
type span struct{ first, last rune }

// spanned returns the bytes in spans of characters. With fold, it ignores case.
func spanned(spans []span, by rules, fold bool) set {
	return setOf(func(r rune) bool {
		all := []rune{r}
		if fold {
			all = folded(r, by)
		}
		return slices.ContainsFunc(all, func(r rune) bool {
			return slices.ContainsFunc(spans, func(s span) bool { return s.first <= r && r <= s.last })
		})
	})
}

// property returns the bytes of \p{NAME}.
func property(name string, fold bool) (set, bool) {
	name = plainName(name)
	for _, prefix := range []string{"script=", "sc=", "scx=", "scriptextensions=", "generalcategory=", "gc=", "category="} {
		if rest, found := strings.CutPrefix(name, prefix); found {
			return table(rest, fold)
		}
	}
	name = strings.TrimPrefix(name, "is")
	if rest, found := strings.CutPrefix(name, "xposix"); found {
		return class(rest, letters, fold)
	}
	if rest, found := strings.CutPrefix(name, "posix"); found {
		return class(rest, native, fold)
	}
	others := map[string]string{
		"alphabetic": "alpha", "uppercase": "upper", "lowercase": "lower", "spaceperl": "space", "whitespace": "space", "xperlspace": "space",
		"horizspace": "blank", "hexdigit": "xdigit", "hex": "xdigit", "asciihexdigit": "xdigit", "ahex": "xdigit", "w": "word",
		"control": "cntrl", "uppercaseletter": "lu", "lowercaseletter": "ll", "titlecaseletter": "lt",
	}
	if other, found := others[name]; found {
		name = other
	}
	switch name {
	case "any", "all", "unicode", "assigned":
		return set{}.inverse(), true
	case "vertspace":
		return vertical(), true
	case "punct":
		return setOf(unicode.IsPunct), true
	}
	if found, known := class(name, letters, fold); known {
		return found, true
	}
	return table(name, fold)
}

// table returns the bytes of a general category or a script.
func table(name string, fold bool) (set, bool) {
	if fold && (name == "lu" || name == "ll" || name == "lt") || name == "l&" || name == "l_" || name == "casedletter" {
		name = "lc"
	}
	if name == "lc" {
		return setOf(func(r rune) bool { return unicode.In(r, unicode.Lu, unicode.Ll, unicode.Lt) }), true
	}
	if short, found := longNames()[name]; found {
		name = short
	}
	for _, tables := range []map[string]*unicode.RangeTable{unicode.Categories, unicode.Scripts} {
		for known, table := range tables {
			if plainName(known) == name {
				return setOf(func(r rune) bool { return unicode.Is(table, r) }), true
			}
		}
	}
	return set{}, false
}

// longNames returns the general categories by their long names.
func longNames() map[string]string {
	return map[string]string{
		"letter": "l", "uppercaseletter": "lu", "lowercaseletter": "ll", "titlecaseletter": "lt", "modifierletter": "lm", "otherletter": "lo",
		"mark": "m", "nonspacingmark": "mn", "spacingmark": "mc", "enclosingmark": "me", "number": "n", "decimalnumber": "nd",
		"letternumber": "nl", "othernumber": "no", "punctuation": "p", "connectorpunctuation": "pc", "dashpunctuation": "pd",
		"openpunctuation": "ps", "closepunctuation": "pe", "initialpunctuation": "pi", "finalpunctuation": "pf", "otherpunctuation": "po",
		"symbol": "s", "mathsymbol": "sm", "currencysymbol": "sc", "modifiersymbol": "sk", "othersymbol": "so", "separator": "z",
		"spaceseparator": "zs", "lineseparator": "zl", "paragraphseparator": "zp", "other": "c", "format": "cf", "surrogate": "cs", "privateuse": "co",
	}
}

func plainName(name string) string {
	name = strings.NewReplacer(" ", "", "\t", "", "_", "", "-", "", ":", "=").Replace(strings.ToLower(name))
	return name
}

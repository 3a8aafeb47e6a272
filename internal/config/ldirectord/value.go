package ldirectord

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"lvs-agents/internal/config/fault"
)

// quoteRunes are the characters that the parser recognizes as quotes, plain and odd.
const quoteRunes = "\"'“”„‟«»‘’‚‛＂"

// oddBlanks are characters that look like a blank or are invisible: no-break space, zero-width
// space, ideographic space, byte-order mark.
const oddBlanks = "\u00a0\u200b\u3000\ufeff"

// class is the syntax of the text after the equals sign.
type class uint8

const (
	plain      class = iota + 1 // plain is one word without quotes.
	yesOrNo                     // yesOrNo is the word yes or no.
	address                     // address is a number of words. Some of them can be quoted.
	quotedText                  // quotedText is any text in double quotes.
	bareText                    // bareText is one word, or any text in quotes.
	freeText                    // freeText is any text. Quotes around the text are allowed.
	verbatim                    // verbatim is any text, and no character has a special meaning.
)

// valueReader removes the damage of a value: odd quotes, missing quotes, and a note. A note is a
// remark after the value that begins with #, > or //.
type valueReader struct {
	// block says that the value is in a virtual block. There, # begins a note even if no blank is
	// before it.
	block bool
	text  string // text is the clean value.
	// damage lists the faults of the value that ldirectord would read in another way.
	damage []string
	names  map[string]bool // names are the names of all directives.
	strict bool            // strict says that a note after # is always damage, even in a block.
}

func (v *valueReader) clean(class class, raw string) error {
	switch class {
	case plain:
		return v.plain(raw)
	case yesOrNo: // ldirectord refuses yes or no with a note, even in a block.
		v.strict = true
		return v.single(raw)
	case address:
		return v.address(raw)
	case quotedText:
		return v.quotedText(raw)
	case bareText:
		return v.bareText(raw)
	case freeText:
		return v.freeText(raw)
	case verbatim:
	}
	v.text = strings.TrimRight(raw, " \t")
	return nil
}

func (v *valueReader) damaged(format string, args ...any) {
	v.damage = append(v.damage, fmt.Sprintf(format, args...))
}

// plain reads a word. ldirectord ignores the rest.
func (v *valueReader) plain(raw string) error {
	if err := v.words(raw); err != nil {
		return err
	}
	word, rest, _ := strings.Cut(v.text, " ")
	rest = strings.TrimSpace(rest)
	if numeric(word) && !ignorable(rest, 's') {
		return v.alone()
	}
	if word = strings.TrimRight(word, ";,"); word != v.text && word != "" {
		v.damaged("%s after the value", fault.Quote(strings.TrimSpace(v.text[len(word):])))
		v.text = word
	}
	return nil
}

// ignorable reports whether text after a number can be ignored. Text that begins with a letter can
// be a unit, so it is ignorable only if the letter is the first of the expected unit.
func ignorable(text string, letter byte) bool {
	if text == "" {
		return true
	}
	first := text[0] | 0x20
	return first < 'a' || first > 'z' || first == letter
}

// single reads a value of exactly one word.
func (v *valueReader) single(raw string) error {
	if err := v.words(raw); err != nil {
		return err
	}
	return v.alone()
}

func (v *valueReader) alone() error {
	if word, rest, found := strings.Cut(v.text, " "); found {
		return fault.Errorf("write "+fault.Short(word)+" alone", "%s after the value", fault.Quote(strings.TrimSpace(rest)))
	}
	return nil
}

// words reads a value without the note after it, and removes quotes around the value.
func (v *valueReader) words(raw string) error {
	v.text = v.cutNote(raw, false)
	if err := v.merged(v.text, v.text); err != nil {
		return err
	}
	if inner := strings.Trim(v.text, quoteRunes); inner != v.text {
		v.damaged("quotes around the value")
		v.text = strings.TrimSpace(inner)
	}
	if v.text == "" {
		return fault.Errorf("write one, or delete the line", "value missing")
	}
	return nil
}

func (v *valueReader) address(raw string) error {
	if strings.ContainsAny(raw, "“”„‟＂") {
		v.damaged("%s", nameQuote(raw))
		raw = strings.NewReplacer("“", `"`, "”", `"`, "„", `"`, "‟", `"`, "＂", `"`).Replace(raw)
	}
	v.text = v.cutNote(raw, true)
	return v.merged(v.text, outsideQuotes(v.text))
}

func (v *valueReader) bareText(raw string) error {
	if first, _ := utf8.DecodeRuneInString(raw); strings.ContainsRune(quoteRunes, first) {
		return v.quotedText(raw)
	}
	return v.single(raw)
}

// freeText reads any text, without the note at its end and without quotes around it.
func (v *valueReader) freeText(raw string) error {
	text := v.cutNote(raw, true)
	inner, _ := strings.CutPrefix(text, `"`)
	if body, found := strings.CutSuffix(inner, `"`); found && !strings.Contains(body, `"`) && inner != text {
		text = body
	} else if body := strings.Trim(text, strings.ReplaceAll(quoteRunes, `"`, "")); body != text {
		v.damaged("%s", nameQuote(text))
		text = strings.Trim(body, `"`)
	}
	if v.text = text; text == "" {
		return fault.Errorf("write one, or delete the line", "value missing")
	}
	return nil
}

// cutNote returns text without the note at its end, and without blanks at its beginning and end. A
// note is a remark that begins with #, > or //.
func (v *valueReader) cutNote(text string, quotes bool) string {
	if i := noteStart(text, v.block, quotes); i >= 0 {
		if text[i] != '#' || !v.block || v.strict {
			v.damaged("a note after the value")
		}
		return strings.Trim(text[:i], " \t")
	}
	trimmed := strings.Trim(text, " \t")
	if v.strict && trimmed != text {
		v.damaged("blanks after the value")
	}
	return trimmed
}

// noteStart returns the index of the #, > or // that begins a note, or -1 if the text has no note.
// With quotes, it ignores these characters between double quotes.
func noteStart(text string, block, quotes bool) int {
	quoted := false
	for i := range len(text) {
		switch blankBefore := i == 0 || text[i-1] == ' ' || text[i-1] == '\t'; {
		case text[i] == '"' && quotes:
			quoted = !quoted
		case !quoted && beginsNote(text[i:], blankBefore, block):
			return i
		}
	}
	return -1
}

func beginsNote(text string, blankBefore, block bool) bool {
	switch text[0] {
	case '#':
		return block || blankBefore
	case '>':
		return blankBefore
	case '/':
		return blankBefore && strings.HasPrefix(text, "//")
	}
	return false
}

// outsideQuotes replaces the text between double quotes by blanks.
func outsideQuotes(text string) string {
	if !strings.Contains(text, `"`) {
		return text
	}
	quoted, mask := false, []byte(text)
	for i, c := range mask {
		switch {
		case c == '"':
			quoted = !quoted
		case quoted:
			mask[i] = ' '
		}
	}
	return string(mask)
}

// lostBreak is the error of a line that holds two directives.
// first is the value of the directive at the start of the line.
type lostBreak struct{ first, second string }

func (lostBreak) Error() string { return "two directives on one line" }

// merged returns the error of a lost line break: a directive inside a value. visible is text with
// blanks instead of the parts that cannot hold a directive.
func (v *valueReader) merged(text, visible string) error {
	for from := 0; ; {
		equals := strings.IndexByte(visible[from:], '=')
		if equals < 0 {
			return nil
		}
		equals += from
		if start := v.nameBefore(visible, equals); start >= 0 {
			return lostBreak{strings.TrimRight(text[:start], " \t"), text[start:]}
		}
		from = equals + 1
	}
}

// longestName is larger than the length of any directive's name.
const longestName = 30

// nameBefore returns where the name of a directive starts that ends at an equals sign. If several
// names fit, it chooses the longest; if none fits, it returns -1.
func (v *valueReader) nameBefore(text string, equals int) int {
	end := len(strings.TrimRight(text[max(0, equals-longestName):equals], " \t")) + max(0, equals-longestName)
	for start := max(0, end-longestName); start < end; start++ {
		if v.names[text[start:end]] {
			return start
		}
	}
	return -1
}

// startsDirective reports whether a text starts with "name=".
func (v *valueReader) startsDirective(text string) bool {
	equals := strings.IndexByte(text[:min(len(text), longestName)], '=')
	return equals > 0 && v.names[strings.TrimRight(text[:equals], " \t")]
}

// quotedText reads a value that should be in double quotes. The value reaches from the first quote
// to the last quote before the note, as in ldirectord.
func (v *valueReader) quotedText(raw string) error {
	if raw == "" {
		return fault.Errorf("write it in double quotes", "value missing")
	}
	if raw[0] != '"' {
		return v.oddlyQuoted(raw)
	}
	body := v.cutComment(raw)
	end, err := v.closingQuote(body)
	if err != nil {
		return err
	}
	v.text = body[1:end]
	if v.block {
		v.text = strings.ReplaceAll(v.text, "\t", "    ")
	}
	if v.text == "" {
		v.damaged("nothing between the quotes")
	}
	return nil
}

// cutComment cuts the text of a block from the first # on, even inside quotes. It does not cut if
// the closing quote would be lost: ldirectord refuses a line without the quote.
func (v *valueReader) cutComment(raw string) string {
	i := strings.IndexByte(raw, '#')
	if !v.block || i < 0 {
		return raw
	}
	if strings.Count(raw[:i], `"`) < 2 {
		v.damaged(`"#" inside quotes`)
		return raw
	}
	cut := strings.TrimRight(raw[:i], " \t")
	if note := len(cut) < i && cut[len(cut)-1] == '"'; !note && strings.Contains(raw[i:], `"`) {
		v.damaged(`"#" inside quotes begins a note`)
	}
	return raw[:i]
}

func (v *valueReader) closingQuote(body string) (int, error) {
	last := 0
	for i := 1; i < len(body); i++ {
		if body[i] != '"' {
			continue
		}
		last = i
		rest := strings.TrimLeft(body[i+1:], " \t")
		if rest == "" {
			return i, nil
		}
		if beginsNote(rest, len(rest) < len(body[i+1:]), v.block) {
			v.damaged("a note after the value")
			return i, nil
		}
		if v.startsDirective(rest) {
			return 0, lostBreak{body[1:i], rest}
		}
	}
	if last > 0 {
		v.damaged("something after the closing quote") // The message does not show the text, because the text can be a secret.
		return last, nil
	}
	return v.oddClosingQuote(body)
}

// oddClosingQuote returns the index of an odd quote that closes body, and reports the value as
// damaged. If no quote closes body, it returns an error.
func (v *valueReader) oddClosingQuote(body string) (int, error) {
	text := v.cutNote(body, false)
	inner := strings.TrimRight(text, quoteRunes)
	if inner == text || inner == "" {
		return 0, fault.Errorf("write it in double quotes", "closing quote missing")
	}
	v.damaged("%s", nameQuote(text[len(inner):]))
	return len(inner), nil
}

// oddlyQuoted reads a value of quotedText that does not start with a double quote.
func (v *valueReader) oddlyQuoted(raw string) error {
	text := v.cutNote(raw, false)
	body := strings.TrimLeft(text, quoteRunes)
	inner := strings.TrimRight(body, quoteRunes)
	switch opened, closed := body != text, inner != body; {
	case opened && closed:
		v.damaged("%s", nameQuote(text))
	case opened:
		return fault.Errorf("write it in double quotes", "%s at the start and no closing quote", nameQuote(text))
	case closed:
		return fault.Errorf("write it in double quotes", "opening quote missing")
	case inner == "":
		return fault.Errorf("write it in double quotes", "value missing")
	default:
		v.damaged("no quotes around the value")
		if _, second, found := strings.Cut(inner, " "); found && v.startsDirective(second) {
			return lostBreak{inner[:len(inner)-len(second)-1], second}
		}
	}
	v.text = inner
	return nil
}

// nameQuote returns the name of the first quotation mark in text that is not a plain double quote.
// Without this mark, the damage is two double quotes.
func nameQuote(text string) string {
	for _, r := range text {
		switch {
		case r == '\'':
			return "single quotes"
		case r != '"' && strings.ContainsRune(quoteRunes, r):
			return fmt.Sprintf("typographic quote %c (U+%04X)", r, r)
		}
	}
	return "two quotes"
}

// plainBlanks replaces special blanks outside of quotes, such as no-break spaces, by spaces.
func plainBlanks(line string) string {
	quoted := false
	return strings.Map(func(r rune) rune {
		if r == '"' {
			quoted = !quoted
		}
		if !quoted && strings.ContainsRune(oddBlanks, r) {
			return ' '
		}
		return r
	}, line)
}

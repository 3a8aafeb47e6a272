package pattern

import (
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

// linear translates an expression for Go's library, which matches in linear time. It returns false
// if Go's library cannot express it.
func linear(n *node) (*regexp.Regexp, bool) {
	w := writer{}
	if !w.write(n, true) {
		return nil, false
	}
	found, err := regexp.Compile(w.String())
	return found, err == nil
}

// writer writes an expression for Go's library. Each byte becomes the character with the byte's
// number.
type writer struct{ strings.Builder }

// write writes a node. It returns false if Go's library cannot express the node. With last, no
// other node follows.
func (w *writer) write(n *node, last bool) bool {
	switch n.kind {
	case sequence:
		return w.sequence(n.subs, last)
	case alternative:
		w.WriteString("(?:")
		for i, sub := range n.subs {
			if i > 0 {
				w.WriteString("|")
			}
			if !w.write(sub, last) {
				return false
			}
		}
		w.WriteString(")")
		return true
	case bytesOf:
		w.set(n.set)
		return true
	case repeat:
		return w.repeat(n)
	case group:
		w.WriteString("(?:")
		ok := w.write(n.subs[0], last)
		w.WriteString(")")
		return ok
	case assertion:
		return w.assertion(n, last)
	case atomic, look, reference, condition, definition, call:
	}
	return false
}

func (w *writer) sequence(subs []*node, last bool) bool {
	for i, sub := range subs {
		rest := &node{subs: subs[i+1:]}
		if sub.kind == assertion && sub.place == atLine {
			if least, _ := rest.widths(); least == 0 {
				return false // In Perl, (?m)^ does not match after the last newline of a text.
			}
			w.WriteString("(?m:^)")
			continue
		}
		if !w.write(sub, last && i == len(subs)-1) {
			return false
		}
	}
	return true
}

func (w *writer) repeat(n *node) bool {
	w.WriteString("(?:")
	if !w.write(n.subs[0], false) {
		return false
	}
	w.WriteString(")")
	if n.most == unlimited {
		fmt.Fprintf(w, "{%d,}", n.least)
		return true
	}
	fmt.Fprintf(w, "{%d,%d}", n.least, n.most)
	return true
}

func (w *writer) assertion(n *node, last bool) bool {
	switch n.place {
	case atStart:
		w.WriteString(`\A`)
	case atEnd:
		w.WriteString(`\z`)
	case beforeEnd:
		w.WriteString(`\n?\z`)
		return last
	case atLineEnd:
		w.WriteString("(?m:$)")
	case atWord:
		w.WriteString(`\b`)
		return !n.wide
	case insideWords:
		w.WriteString(`\B`)
		return !n.wide
	case atLine:
		return false
	}
	return true
}

func (w *writer) set(s set) {
	if s == (set{}) {
		w.WriteString(`[^\x00-\x{10FFFF}]`)
		return
	}
	w.WriteString("[")
	for from := 0; from < 256; from++ {
		if !s.has(byte(from)) {
			continue
		}
		to := from
		for to < 255 && s.has(byte(to+1)) {
			to++
		}
		fmt.Fprintf(w, `\x{%x}-\x{%x}`, from, to)
		from = to
	}
	w.WriteString("]")
}

// characters replaces each byte of a text by the character with the byte's number. The expressions
// of writer match the new text.
func characters(text []byte) []byte {
	high := 0
	for _, b := range text {
		high += int(b >> 7)
	}
	if high == 0 {
		return text
	}
	all := make([]byte, 0, len(text)+high)
	for _, b := range text {
		all = utf8.AppendRune(all, rune(b))
	}
	return all
}

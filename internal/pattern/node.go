package pattern

// kind is the kind of a node of an expression. The comments of the constants use the fields of the
// node.
type kind uint8

const (
	// sequence: subs match one after the other. A sequence without subs matches the empty text.
	sequence kind = iota
	// alternative: one of subs matches.
	alternative
	// bytesOf: one byte of the text is in set.
	bytesOf
	// repeat: subs[0] matches at least least times and at most most times.
	repeat
	// group: subs[0] matches. The field number identifies the matched text.
	group
	// atomic: subs[0] matches. After the first match of subs[0], no other match of it is tried.
	atomic
	// look: subs[0] matches after or before the current position, but no byte is taken.
	look
	// assertion: the condition place is true at the current position. No byte is taken.
	assertion
	// reference: the text equals the text of the first group in numbers that has matched.
	reference
	// condition: if the condition in the node is true, subs[0] matches, otherwise subs[1].
	condition
	// definition: subs[0] is matched only where a call names it: (?(DEFINE)…).
	definition
	// call: the expression of the group with the field number matches here, too. The number 0 is
	// the whole expression.
	call
)

// unlimited is the value of most in a repetition without a limit.
const unlimited = -1

type node struct {
	kind        kind
	subs        []*node
	set         set
	least, most int // least and most limit the number of rounds of a repetition.
	lazy        bool
	number      int
	numbers     []int
	place       place
	behind      bool // A look is a look-behind: subs[0] matches before the current position.
	not         bool // A look is negative: subs[0] must not match.
	fold        bool // A reference ignores case.
	wide        bool // A reference or an assertion uses the letters of Unicode, not only of ASCII.
	recursion   bool // A condition is true in a call of the group number; unlimited is any group.
}

// place is a condition on a position in the text. The comments of the constants show how an
// expression of Perl writes the condition.
type place uint8

const (
	atStart     place = iota // \A, or ^ without (?m)
	atLine                   // ^ with (?m)
	atEnd                    // \z
	beforeEnd                // \Z, or $ without (?m)
	atLineEnd                // $ with (?m)
	atWord                   // \b
	insideWords              // \B
)

// widths returns the smallest and the largest number of bytes that a node takes. It returns
// unlimited if the largest number is unknown or above enough.
func (n *node) widths() (least, most int) {
	switch n.kind {
	case sequence:
		for _, sub := range n.subs {
			a, b := sub.widths()
			least, most = least+a, sum(most, b)
		}
		return least, most
	case alternative, condition:
		least, most = n.subs[0].widths()
		for _, sub := range n.subs[1:] {
			a, b := sub.widths()
			least = min(least, a)
			if most = max(most, b); b == unlimited || most == unlimited {
				most = unlimited
			}
		}
		return least, most
	case bytesOf:
		return 1, 1
	case repeat:
		a, b := n.subs[0].widths()
		least = min(a*n.least, enough)
		if b == 0 || n.most == 0 {
			return least, 0
		}
		if b == unlimited || n.most == unlimited || b*n.most > enough {
			return least, unlimited
		}
		return least, b * n.most
	case group, atomic:
		return n.subs[0].widths()
	case reference, call:
		return 0, unlimited
	case look, assertion, definition:
	}
	return 0, 0
}

// enough is a number of bytes that is larger than every limit of the parser.
const enough = 1 << 20

func sum(a, b int) int {
	if a == unlimited || b == unlimited || a+b > enough {
		return unlimited
	}
	return a + b
}

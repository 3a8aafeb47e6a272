package pattern

// kind is the kind of a node of an expression.
type kind uint8

const (
	sequence    kind = iota // matches subs one after the other; without subs, matches the empty text
	alternative             // matches one of subs
	bytesOf                 // matches one byte of set
	repeat                  // matches subs[0] from least to most times
	group                   // matches subs[0]; the matched text gets a group number
	atomic                  // matches subs[0]; only the first match of subs[0] is tried
	look                    // subs[0] matches after or before this place; no byte is taken
	assertion               // matches if place is true at the current position; takes no byte
	reference               // matches the text of the first group in numbers that has matched
	condition               // matches subs[0] if the condition is true, else subs[1]
	definition              // subs[0] is matched only by a call
	call                    // matches a group again, by number; 0 is the whole expression
)

// unlimited is the value of most in a repetition without a limit.
const unlimited = -1

type node struct {
	kind        kind
	subs        []*node
	set         set
	least, most int // smallest and largest number of rounds of a repetition
	lazy        bool
	number      int
	numbers     []int
	place       place
	behind      bool // for a look: it matches before this place
	not         bool // for a look: it must not match
	fold        bool // for a reference: case is ignored
	wide        bool // for a reference or an assertion: letters are the letters of Unicode
	recursion   bool // for a condition: group number is being called; unlimited for any group
}

// place is a condition on a place in the text.
type place uint8

const (
	atStart     place = iota // \A, ^
	atLine                   // ^ of (?m)
	atEnd                    // \z
	beforeEnd                // $, \Z
	atLineEnd                // $ of (?m)
	atWord                   // \b
	insideWords              // \B
)

// widths returns the smallest and the largest number of bytes that a node takes. It returns
// unlimited if the largest number is unknown.
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

// enough is larger than every width that the parser compares.
const enough = 1 << 20

func sum(a, b int) int {
	if a == unlimited || b == unlimited || a+b > enough {
		return unlimited
	}
	return a + b
}

package pattern

// kind is what a node of an expression is.
type kind uint8

const (
	sequence    kind = iota // subs one after the other; without any the empty text
	alternative             // one of subs
	bytesOf                 // one byte of set
	repeat                  // subs[0] from least to most times
	group                   // subs[0], remembered as number
	atomic                  // subs[0], without another way to match it
	look                    // subs[0] matches here, or before this place; nothing is taken
	assertion               // about the place, by place
	reference               // the text of the first group of numbers that has one
	condition               // subs[0] if it holds, else subs[1]
	definition              // subs[0] is there to be called
	call                    // the group of number again; 0 is the whole expression
)

// unlimited is the most of a repetition without a limit.
const unlimited = -1

type node struct {
	kind        kind
	subs        []*node
	set         set
	least, most int // of a repetition
	lazy        bool
	number      int
	numbers     []int
	place       place
	behind      bool // of a look
	not         bool // of a look
	fold        bool // of a reference
	wide        bool // of a reference or a place: by the letters of Unicode
	recursion   bool // of a condition: whether number is being called, or anything for unlimited
}

// place is what an assertion asks for.
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

// widths are how many bytes a node takes; most is unlimited also where that is not
// known.
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

// enough is more than any width that matters.
const enough = 1 << 20

func sum(a, b int) int {
	if a == unlimited || b == unlimited || a+b > enough {
		return unlimited
	}
	return a + b
}

package pattern

// code is the operation of an instruction.
type code uint8

const (
	// done: the whole expression has matched. In a call of the whole expression, the machine
	// returns from the call. Otherwise the match succeeds.
	done code = iota
	// jump: the machine continues at the instruction to.
	jump
	// try: the machine continues at the next instruction. If no match is found there, the machine
	// continues at the instruction to.
	try
	// take: the next byte of the text must be in set.
	take
	// run: the next bytes of the text must be in set. least and most limit the number of bytes.
	run
	// start: the group with the number begins at the current position.
	start
	// end: the group with the number ends at the current position. If the innermost call is a call
	// of this group, the machine returns from the call.
	end
	// begin: the machine sets the count of rounds of the loop with the number to 0.
	begin
	// again: the machine begins another round of the loop with the number, or leaves the loop and
	// continues at the instruction to.
	again
	// check: the condition node.place must be true at the current position.
	check
	// same: the next bytes must equal the text of the first group in node.numbers that has matched.
	same
	// holds: if the condition in node is true, the machine continues at the next instruction.
	// Otherwise the machine continues at the instruction to.
	holds
	// enter: the machine calls the group with the number. The code of the group begins at the
	// instruction to.
	enter
	// mark: an atomic group, a look-ahead or a look-behind begins at the current position. If the
	// inner expression of a negative look-ahead or look-behind does not match, the machine
	// continues at the instruction to.
	mark
	// back: the machine goes back by at least least and at most most bytes, where the inner
	// expression of a look-behind begins.
	back
	// keep: the inner expression of an atomic group has matched. The machine does not try other
	// ways to match it.
	keep
	// stay: the inner expression of a look-ahead or look-behind has matched. The machine goes back
	// to the position where the look-ahead or look-behind began.
	stay
	// arrive: the current position must be the position where the look-behind began.
	arrive
	// abandon: the inner expression of a negative look-ahead or look-behind has matched, so the
	// negative look-ahead or look-behind does not match.
	abandon
)

// instruction is one instruction of a program. The constants of code say which fields an operation
// uses.
type instruction struct {
	code        code
	to          int // to is the index of an instruction in program.code.
	number      int
	least, most int
	lazy        bool // lazy is true for a lazy repetition, and for a mark of a negative look.
	node        *node
	set         *set
}

// program holds the instructions of one expression. A machine executes them.
type program struct {
	code          []instruction
	groups, loops int         // groups is the number of groups, with the whole expression as group 0.
	groupAt       map[int]int // groupAt maps a group to the index of its first instruction.
	calls         []int       // calls are the indexes of the instructions with the code enter.
	anchored      anchor
}

// anchor selects the places where a match can begin.
type anchor uint8

const (
	anywhere    anchor = iota
	onlyAtStart        // The expression begins with \A, with ^ without (?m), or with .* that matches newlines.
	atLines            // The expression begins with .* that does not match newlines.
)

func compile(n *node, groups int) *program {
	p := &program{groups: groups + 1, groupAt: map[int]int{0: 0}, anchored: anchorOf(n)}
	p.add(n)
	p.emit(instruction{code: done})
	for _, at := range p.calls {
		p.code[at].to = p.groupAt[p.code[at].number]
	}
	return p
}

// anchorOf returns the anchor of an expression. It examines only the first item of the expression.
func anchorOf(n *node) anchor {
	for n.kind == sequence && len(n.subs) > 0 {
		n = n.subs[0]
	}
	switch {
	case n.kind == assertion && n.place == atStart:
		return onlyAtStart
	case n.kind != repeat || n.least > 0 || n.most != unlimited || n.subs[0].kind != bytesOf:
		return anywhere
	case n.subs[0].set == set{}.inverse():
		return onlyAtStart
	case n.subs[0].set == newline().inverse():
		return atLines
	}
	return anywhere
}

func (p *program) emit(i instruction) int {
	p.code = append(p.code, i)
	return len(p.code) - 1
}

// here makes the instruction at an index continue at the next instruction that is added.
func (p *program) here(at int) { p.code[at].to = len(p.code) }

func (p *program) add(n *node) {
	switch n.kind {
	case sequence:
		for _, sub := range n.subs {
			p.add(sub)
		}
	case alternative:
		p.alternatives(n.subs)
	case bytesOf:
		p.emit(instruction{code: take, set: &n.set})
	case repeat:
		p.repeat(n)
	case group:
		p.groupAt[n.number] = p.emit(instruction{code: start, number: n.number})
		p.add(n.subs[0])
		p.emit(instruction{code: end, number: n.number})
	case atomic:
		p.emit(instruction{code: mark})
		p.add(n.subs[0])
		p.emit(instruction{code: keep})
	case look:
		p.look(n)
	case assertion:
		p.emit(instruction{code: check, node: n})
	case reference:
		p.emit(instruction{code: same, node: n})
	case condition:
		otherwise := p.emit(instruction{code: holds, node: n})
		p.add(n.subs[0])
		after := p.emit(instruction{code: jump})
		p.here(otherwise)
		p.add(n.subs[1])
		p.here(after)
	case definition:
		p.aside(n.subs[0])
	case call:
		p.calls = append(p.calls, p.emit(instruction{code: enter, number: n.number}))
	}
}

// aside adds the instructions of a node, and a jump over them. Only a call can reach them.
func (p *program) aside(n *node) {
	after := p.emit(instruction{code: jump})
	p.add(n)
	p.here(after)
}

func (p *program) alternatives(subs []*node) {
	var ends []int
	for _, sub := range subs[:len(subs)-1] {
		other := p.emit(instruction{code: try})
		p.add(sub)
		ends = append(ends, p.emit(instruction{code: jump}))
		p.here(other)
	}
	p.add(subs[len(subs)-1])
	for _, at := range ends {
		p.here(at)
	}
}

func (p *program) repeat(n *node) {
	body := n.subs[0]
	switch {
	case n.most == 0:
		p.aside(body)
		return
	case body.kind == bytesOf:
		p.emit(instruction{code: run, set: &body.set, least: n.least, most: n.most, lazy: n.lazy})
		return
	}
	if least, _ := body.widths(); n.least == 0 && (n.most == 1 || n.most == unlimited && least > 0) {
		p.simple(n)
		return
	}
	loop := p.loops
	p.loops++
	p.emit(instruction{code: begin, number: loop})
	at := p.emit(instruction{code: again, number: loop, least: n.least, most: n.most, lazy: n.lazy})
	p.add(body)
	p.emit(instruction{code: jump, to: at})
	p.here(at)
}

// simple adds the instructions of a repetition without a counter of rounds. The repetition has at
// most one round, or no limit and at least one byte in each round.
func (p *program) simple(n *node) {
	at := p.emit(instruction{code: try})
	leave := at
	if n.lazy {
		leave = p.emit(instruction{code: jump})
		p.here(at)
	}
	p.add(n.subs[0])
	if n.most == unlimited {
		p.emit(instruction{code: jump, to: at})
	}
	p.here(leave)
}

func (p *program) look(n *node) {
	at := p.emit(instruction{code: mark, lazy: n.not})
	if n.behind {
		least, most := n.subs[0].widths()
		p.emit(instruction{code: back, least: least, most: most})
	}
	p.add(n.subs[0])
	if n.behind {
		p.emit(instruction{code: arrive})
	}
	if n.not {
		p.emit(instruction{code: abandon})
		p.here(at)
		return
	}
	p.emit(instruction{code: stay})
}

package pattern

// code is the operation of an instruction.
type code uint8

const (
	done    code = iota // ends the program: the expression has matched
	jump                // continue at to
	try                 // continue at the next instruction; if that fails, at to
	take                // match one byte of set
	run                 // match bytes of set, from least to most times
	start               // group number begins
	end                 // group number ends, and with it its call
	begin               // a loop begins; number identifies the loop
	again               // loop number: start another round, or continue at to
	check               // test the condition place at the current position
	same                // match the text of a group in numbers
	holds               // continue at the next instruction if the condition is true, else at to
	enter               // call group number, whose code begins at to
	mark                // an atomic group or a look begins; a negative look continues at to
	back                // begin a look-behind, from least to most bytes before this place
	keep                // the atomic group has matched
	stay                // the look has matched: continue at the place where it began
	arrive              // the look-behind must end at the place where it began
	abandon             // the inner expression of a negative look has matched, so the look fails
)

type instruction struct {
	code        code
	to          int
	number      int
	least, most int
	lazy        bool
	node        *node
	set         *set
}

// program holds the instructions of an expression for a machine.
type program struct {
	code          []instruction
	groups, loops int
	groupAt       map[int]int
	calls         []int // instructions whose field to is not set yet
	anchored      anchor
}

// anchor selects the places where a match can begin.
type anchor uint8

const (
	anywhere    anchor = iota
	onlyAtStart        // \A, or .* that matches newlines
	atLines            // .* that does not match newlines
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

// anchorOf returns the anchor of an expression. It examines only the first item.
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

// here sets the target of an instruction to the next instruction.
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

// aside adds a node that the machine runs only by a call.
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

// simple adds a repetition that needs no counter, because every round takes a byte or there is only
// one round.
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

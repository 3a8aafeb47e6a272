package pattern

import (
	"bytes"
	"context"
	"slices"
)

// The limits of a match. A reply has at most a megabyte, and a simple expression takes a few steps
// for each byte.
const (
	maxSteps = 50_000_000
	maxStack = 1 << 19 // maxStack is the largest number of entries on the stack, of 24 bytes each.
	maxCalls = 5000    // maxCalls is the largest number of nested calls of groups.
	fewStack = 1 << 15 // A match whose stack has fewStack entries waits for room before it adds one.
)

// Room limits how many matches can use much memory at the same time. Another match that needs much
// memory waits until one of them ends. With a nil Room, no match waits.
type Room chan struct{}

// NewRoom returns a Room that lets two matches use much memory at the same time.
func NewRoom() Room { return make(Room, 2) }

// entry is an element of the stack of a machine. When the machine finds no match, it takes the
// entries from the stack, the newest first. An entry tries another way to match, or restores a
// value that the machine has changed.
type entry struct {
	kind  kept
	at    int32 // at is the index of an instruction, or the index of a changed value.
	p, q  int32 // p and q are positions in the text, or the old parts of a changed value.
	frame *frame
}

// kept is the kind of an entry. The comments of the constants use the fields of the entry.
type kept uint8

const (
	// other: the machine continues at the instruction at and the position p.
	other kept = iota
	// fewer: the machine lets a repetition of a set end at the position q. The entry is then used
	// again with q-1, until q is p.
	fewer
	// further: the machine lets a lazy repetition of a set take one more byte, at the position p.
	// The entry is then used again with p+1, until p is q.
	further
	// earlier: the machine lets the inner expression of a look-behind begin at the position p. The
	// entry is then used again with p-1, until p is q.
	earlier
	// once: the machine begins another round of a lazy loop.
	once
	// marked: an atomic group, a look-ahead or a look-behind began at the position p. For a
	// negative one, the machine continues at the instruction at. Otherwise at is -1.
	marked
	// oldGroup: before the change, the value with the index at in machine.groups was p.
	oldGroup
	// oldLoop: before the change, the loop at had run p rounds, and the last round began at the
	// position q.
	oldLoop
	// oldFrame: before the change, the machine was in the call of a group that the field frame
	// holds. A nil frame means that the machine was not in a call.
	oldFrame
	// oldState: before the change, the groups and loops of the machine had the values that the
	// field frame holds.
	oldState
)

// frame is a call of a group.
type frame struct {
	number, to int      // After the group with the number, the machine continues at instruction to.
	depth      int      // depth is the number of calls around this call.
	above      *frame   // above is the call around this call. It is nil for the outermost call.
	groups     []int32  // groups are the values of machine.groups before the call.
	loops      []rounds // loops are the values of machine.loops before the call.
}

// rounds holds how many rounds a loop has begun, and the position where the last round began.
type rounds struct{ count, from int32 }

// machine is one match of a program against a text. A position is the index of a byte in the text.
type machine struct {
	*program
	text   []byte
	stack  []entry
	groups []int32     // Each group has three values: its begin, its end, and its begin before it ends.
	loops  []rounds    // loops has an element for each loop of the program.
	frame  *frame      // frame is the innermost open call, or nil.
	steps  int         // steps counts instructions, bytes and copied values, up to maxSteps.
	err    error       // err is ErrLimit after the match has exceeded a limit, otherwise nil.
	room   func() bool // room waits for the Room, and returns false if the match timed out before.
}

// match reports whether the program matches anywhere in the text.
func (p *program) match(ctx context.Context, text []byte, room Room) (bool, error) {
	m := &machine{program: p, text: text, groups: make([]int32, 3*p.groups), loops: make([]rounds, p.loops)}
	has := room == nil
	m.room = func() bool {
		if has {
			return true
		}
		select {
		case room <- struct{}{}:
			has = true
		case <-ctx.Done():
		}
		return has
	}
	defer func() {
		if has && room != nil {
			<-room
		}
	}()
	for from := 0; from <= len(text); from++ {
		if m.from(ctx, from) || m.err != nil {
			return m.err == nil, m.err
		}
		switch p.anchored {
		case onlyAtStart:
			return false, nil
		case atLines:
			next := bytes.IndexByte(text[from:], '\n')
			if next < 0 {
				return false, nil
			}
			from += next
		case anywhere:
		}
	}
	return false, nil
}

func (m *machine) push(e entry) {
	if len(m.stack) >= maxStack || len(m.stack) == fewStack && !m.room() {
		m.err = ErrLimit
		return
	}
	if len(m.stack) == cap(m.stack) {
		m.stack = slices.Grow(m.stack, min(len(m.stack)+64, maxStack-len(m.stack)))
	}
	m.stack = append(m.stack, e)
}

// from reports whether the program matches at a position in the text.
func (m *machine) from(ctx context.Context, place int) bool {
	for i := range m.groups {
		m.groups[i] = -1
	}
	m.stack, m.frame = m.stack[:0], nil
	at, p := 0, int32(place)
	for m.err == nil {
		if m.steps++; m.steps%4096 == 0 && ctx.Err() != nil || m.steps > maxSteps {
			m.err = ErrLimit
			break
		}
		i := &m.code[at]
		if i.code == done {
			if m.frame == nil {
				return true
			}
			at = m.leave()
			continue
		}
		var ok bool
		if at, p, ok = m.step(i, at, p); ok {
			continue
		}
		if at, p, ok = m.backtrack(); !ok {
			break
		}
	}
	return false
}

// step executes the instruction i, which has the index at, at the position p. It returns the index
// of the next instruction and the new position, or false if the text does not match.
func (m *machine) step(i *instruction, at int, p int32) (int, int32, bool) {
	next := at + 1
	switch i.code {
	case take:
		return next, p + 1, int(p) < len(m.text) && i.set.has(m.text[p])
	case run:
		return m.run(i, next, p)
	case jump:
		return i.to, p, true
	case try:
		m.push(entry{kind: other, at: int32(i.to), p: p})
	case start:
		m.setGroup(3*i.number+2, p)
	case end:
		m.setGroup(3*i.number, m.groups[3*i.number+2])
		m.setGroup(3*i.number+1, p)
		if m.frame != nil && m.frame.number == i.number {
			next = m.leave()
		}
	case begin:
		m.setLoop(i.number, rounds{0, -1})
	case again:
		return m.loop(i, at, p), p, true
	case check:
		return next, p, m.stands(i.node, int(p))
	case same:
		return m.same(i.node, next, p)
	case holds:
		if !m.holds(i.node) {
			next = i.to
		}
	case enter:
		return m.enter(i, next), p, m.err == nil
	default:
		return m.around(i, next, p)
	}
	return next, p, true
}

// around executes the instructions of atomic groups, look-aheads and look-behinds.
func (m *machine) around(i *instruction, next int, p int32) (int, int32, bool) {
	switch i.code {
	case mark:
		e := entry{kind: marked, at: -1, p: p}
		if i.lazy {
			e.at = int32(i.to)
		}
		m.push(e)
	case back:
		m.push(entry{kind: earlier, at: int32(next), p: p - int32(i.least), q: max(0, p-int32(i.most))})
		return 0, 0, false
	case keep:
		m.keep()
	case stay:
		return next, m.keep(), true
	case arrive:
		return next, p, m.stack[m.lastMark()].p == p
	case abandon:
		for last := m.lastMark(); len(m.stack) > last; {
			e := m.pop()
			m.restore(e)
		}
		return 0, 0, false
	default:
	}
	return next, p, true
}

func (m *machine) pop() entry {
	e := m.stack[len(m.stack)-1]
	m.stack = m.stack[:len(m.stack)-1]
	return e
}

// backtrack removes entries from the stack, and restores values, until it finds another way to
// match. It returns the instruction and the position there, or false if the stack is empty.
func (m *machine) backtrack() (at int, p int32, ok bool) {
	for len(m.stack) > 0 {
		e := m.pop()
		switch e.kind {
		case other:
			return int(e.at), e.p, true
		case fewer:
			if e.q > e.p {
				m.push(entry{kind: fewer, at: e.at, p: e.p, q: e.q - 1})
			}
			return int(e.at), e.q, true
		case further:
			if int(e.p) < len(m.text) && e.p < e.q && m.code[e.at-1].set.has(m.text[e.p]) {
				m.push(entry{kind: further, at: e.at, p: e.p + 1, q: e.q})
				return int(e.at), e.p + 1, true
			}
		case earlier:
			if e.p >= e.q {
				m.push(entry{kind: earlier, at: e.at, p: e.p - 1, q: e.q})
				return int(e.at), e.p, true
			}
		case once:
			return m.round(int(e.at), e.p), e.p, true
		case marked:
			if e.at >= 0 {
				return int(e.at), e.p, true
			}
		default:
			m.restore(e)
		}
	}
	return 0, 0, false
}

// restore gives the group, loop or call in an entry the value from before the change.
func (m *machine) restore(e entry) {
	switch e.kind {
	case oldGroup:
		m.groups[e.at] = e.p
	case oldLoop:
		m.loops[e.at] = rounds{e.p, e.q}
	case oldFrame:
		m.frame = e.frame
	case oldState:
		copy(m.groups, e.frame.groups)
		copy(m.loops, e.frame.loops)
	default:
	}
}

func (m *machine) setGroup(at int, value int32) {
	m.push(entry{kind: oldGroup, at: int32(at), p: m.groups[at]})
	m.groups[at] = value
}

func (m *machine) setLoop(at int, value rounds) {
	m.push(entry{kind: oldLoop, at: int32(at), p: m.loops[at].count, q: m.loops[at].from})
	m.loops[at] = value
}

// run executes the instruction run: it takes as many bytes of the set as possible. If the
// instruction is lazy, it takes as few as allowed.
func (m *machine) run(i *instruction, next int, p int32) (int, int32, bool) {
	most := len(m.text) - int(p)
	if i.most != unlimited {
		most = min(most, i.most)
	}
	limit := most
	if i.lazy {
		limit = i.least
	}
	count := 0
	for count < limit && count < most && i.set.has(m.text[int(p)+count]) {
		count++
	}
	m.steps += count
	least, last := p+int32(i.least), p+int32(count)
	switch {
	case count < i.least:
		return 0, 0, false
	case i.lazy:
		m.push(entry{kind: further, at: int32(next), p: last, q: p + int32(most)})
	case count > i.least:
		m.push(entry{kind: fewer, at: int32(next), p: least, q: last - 1})
	}
	return next, last, true
}

// loop executes the instruction again, which has the index at. No round follows a round that took
// no byte, as soon as the loop has run the least number of rounds.
func (m *machine) loop(i *instruction, at int, p int32) int {
	r := m.loops[i.number]
	switch {
	case int(r.count) >= i.least && r.count > 0 && r.from == p, i.most != unlimited && int(r.count) >= i.most:
		return i.to
	case int(r.count) < i.least:
	case i.lazy:
		m.push(entry{kind: once, at: int32(at), p: p})
		return i.to
	default:
		m.push(entry{kind: other, at: int32(i.to), p: p})
	}
	return m.round(at, p)
}

// round begins another round of a loop, whose instruction again has the index at.
func (m *machine) round(at int, p int32) int {
	number := m.code[at].number
	m.setLoop(number, rounds{m.loops[number].count + 1, p})
	return at + 1
}

func (m *machine) stands(n *node, p int) bool {
	switch n.place {
	case atStart:
		return p == 0
	case atLine:
		return p == 0 || p < len(m.text) && m.text[p-1] == '\n'
	case atEnd:
		return p == len(m.text)
	case beforeEnd:
		return p == len(m.text) || p == len(m.text)-1 && m.text[p] == '\n'
	case atLineEnd:
		return p == len(m.text) || m.text[p] == '\n'
	case atWord, insideWords:
		before := p > 0 && word(m.text[p-1], n.wide)
		after := p < len(m.text) && word(m.text[p], n.wide)
		return (before != after) == (n.place == atWord)
	}
	return false
}

func word(b byte, wide bool) bool {
	switch {
	case b >= '0' && b <= '9', b >= 'A' && b <= 'Z', b >= 'a' && b <= 'z', b == '_':
		return true
	}
	return wide && (b == 0xaa || b == 0xb5 || b == 0xba || b >= 0xc0 && b != 0xd7 && b != 0xf7)
}

// same compares the next bytes with the text of the first group in n.numbers that has matched.
func (m *machine) same(n *node, next int, p int32) (int, int32, bool) {
	for _, number := range n.numbers {
		first, last := m.groups[3*number], m.groups[3*number+1]
		if last < 0 {
			continue
		}
		length := last - first
		m.steps += int(length)
		if int(p+length) > len(m.text) {
			return 0, 0, false
		}
		for i := range length {
			a, b := m.text[first+i], m.text[p+i]
			if a != b && (!n.fold || lowered(a, n.wide) != lowered(b, n.wide)) {
				return 0, 0, false
			}
		}
		return next, p + length, true
	}
	return 0, 0, false
}

func lowered(b byte, wide bool) byte {
	if b >= 'A' && b <= 'Z' || wide && b >= 0xc0 && b <= 0xde && b != 0xd7 {
		return b + 0x20
	}
	return b
}

func (m *machine) holds(n *node) bool {
	if n.recursion {
		return m.frame != nil && (n.number == unlimited || n.number == m.frame.number)
	}
	return slices.ContainsFunc(n.numbers, func(number int) bool {
		return number < m.program.groups && m.groups[3*number+1] >= 0
	})
}

// enter begins a call of a group. After the call, the machine continues at the instruction next.
func (m *machine) enter(i *instruction, next int) int {
	f := &frame{number: i.number, to: next, above: m.frame, groups: slices.Clone(m.groups), loops: slices.Clone(m.loops)}
	if m.frame != nil {
		f.depth = m.frame.depth + 1
	}
	if m.steps += len(m.groups) + len(m.loops); f.depth > maxCalls {
		m.err = ErrLimit
	}
	m.push(entry{kind: oldFrame, frame: m.frame})
	m.frame = f
	return i.to
}

// leave ends the innermost call, and returns the instruction after the call. It gives the groups
// and loops their values from before the call.
func (m *machine) leave() int {
	f := m.frame
	m.push(entry{kind: oldState, frame: &frame{groups: slices.Clone(m.groups), loops: slices.Clone(m.loops)}})
	m.push(entry{kind: oldFrame, frame: f})
	m.steps += len(m.groups) + len(m.loops)
	m.restore(entry{kind: oldState, frame: f})
	m.frame = f.above
	return f.to
}

// lastMark returns the index of the newest entry of the kind marked. It belongs to the innermost
// open atomic group, look-ahead or look-behind: keep and abandon remove the entries of ended ones.
func (m *machine) lastMark() int {
	last := len(m.stack) - 1
	for m.stack[last].kind != marked {
		last--
	}
	return last
}

// keep ends an atomic group, look-ahead or look-behind whose inner expression has matched. It
// removes the entries for other ways to match, and keeps the entries that restore values. It
// returns the position where the atomic group, look-ahead or look-behind began.
func (m *machine) keep() int32 {
	last := m.lastMark()
	place, kept := m.stack[last].p, m.stack[:last]
	for _, e := range m.stack[last+1:] {
		if e.kind >= oldGroup {
			kept = append(kept, e)
		}
	}
	m.steps += len(m.stack) - last
	m.stack = kept
	return place
}

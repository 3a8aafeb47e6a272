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
	maxStack = 1 << 19 // largest number of entries; an entry has 24 bytes
	maxCalls = 5000    // largest number of nested calls
	fewStack = 1 << 15 // up to this number of entries, a match does not wait for room
)

// Room limits the number of matches that need much memory at the same time. The other matches wait.
// A nil Room has no limit.
type Room chan struct{}

// NewRoom returns a Room for two matches.
func NewRoom() Room { return make(Room, 2) }

// entry is an operation for the case that the machine must go back: it tries another way, or
// restores a value that the machine has changed.
type entry struct {
	kind  kept
	at    int32 // an instruction, or the index of a changed value
	p, q  int32 // places in the text, or the old values
	frame *frame
}

type kept uint8

const (
	other    kept = iota // continue at instruction at and place p
	fewer                // a run: end it at q, unless q is before p
	further              // a lazy run: end it after p, unless p is after q
	earlier              // a look-behind: begin it at p, unless p is before q
	once                 // a lazy loop: start another round
	marked               // a mark at a place
	oldGroup             // restore: a value of a group was p
	oldLoop              // restore: a loop had p rounds, and the last began at q
	oldFrame             // restore: the call was frame
	oldState             // restore: groups and loops had the values in frame
)

// frame is a call of a group.
type frame struct {
	number, to int
	depth      int
	above      *frame
	groups     []int32 // values at the time of the call, as loops
	loops      []rounds
}

// rounds holds how often a loop has run and where the last round began.
type rounds struct{ count, from int32 }

type machine struct {
	*program
	text   []byte
	stack  []entry
	groups []int32 // for each group: its begin, its end, and its begin while it is open
	loops  []rounds
	frame  *frame
	steps  int
	err    error
	room   func() bool // waits for room, and reports whether the match has it
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

// from reports whether the program matches at one place.
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

// step runs one instruction. It returns the next instruction and the place, or false if the
// instruction does not match.
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

// around runs the instructions of atomic groups and looks.
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

// backtrack goes back to the last place with another way to match.
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

// restore restores a changed value.
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

// run takes a run of bytes: as many as possible, or as few as allowed if it is lazy.
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

// loop decides whether another round begins. A round that took no byte is the last one.
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

// round begins another round.
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

// same matches the text of the first group in the node that has matched.
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

// enter calls a group.
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

// leave ends a call. It restores the groups and loops from before the call.
func (m *machine) leave() int {
	f := m.frame
	m.push(entry{kind: oldState, frame: &frame{groups: slices.Clone(m.groups), loops: slices.Clone(m.loops)}})
	m.push(entry{kind: oldFrame, frame: f})
	m.steps += len(m.groups) + len(m.loops)
	m.restore(entry{kind: oldState, frame: f})
	m.frame = f.above
	return f.to
}

// lastMark returns the index of the innermost open mark. keep and abandon have removed the others.
func (m *machine) lastMark() int {
	last := len(m.stack) - 1
	for m.stack[last].kind != marked {
		last--
	}
	return last
}

// keep ends an atomic group or a look. It removes the entries for other ways to match, and keeps
// the entries that restore values. It returns the place where the group or look began.
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

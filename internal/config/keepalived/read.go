package keepalived

import (
	"fmt"
	"slices"
	"strings"

	"lvs-agents/internal/config"
	"lvs-agents/internal/config/fault"
)

// statement is a line with its words, and the lines of its block.
type statement struct {
	line   int
	words  []string
	body   []*statement
	opened bool   // opened says that the statement has a block.
	block  string // block is the kind of its block, a key of the type grammar.
}

func (s *statement) key() string { return s.words[0] }

// args returns the words after the keyword.
func (s *statement) args() []string { return s.words[1:] }

// arg returns the first word after the keyword, or an empty text.
func (s *statement) arg() string {
	if len(s.words) < 2 {
		return ""
	}
	return s.words[1]
}

// Limits of a file, so that the memory of a parser is bounded.
const (
	mostStatements = 1 << 20
	mostDepth      = 8
)

// reader makes a tree of statements from lines.
type reader struct {
	*parser
	grammar grammar
	open    []*statement // open are the blocks that have not ended. The first is the file.
	count   int
	before  *statement // before is the last statement, whose block can begin on the next line.
	server  *statement // server is the last virtual_server.
}

// read returns the file as a statement whose block has all statements.
func (p *parser) read(text string) *statement {
	root := &statement{words: []string{"file"}, opened: true, block: "file"}
	r := &reader{parser: p, grammar: newGrammar(), open: []*statement{root}}
	for _, line := range p.expand(text) {
		if !r.line(line.n, line.text) {
			return root
		}
	}
	if len(r.open) > 1 {
		last := r.top()
		p.repaired(last.line, fmt.Sprintf("the block %s has no \"}\"", last.key()), "end of the file", "}")
	}
	return root
}

func (r *reader) top() *statement { return r.open[len(r.open)-1] }

// line reads one line. It reports whether reading can continue.
func (r *reader) line(n int, line string) bool {
	words, comment := words(line)
	hidden := r.hidden(words, comment)
	var done []string // done are the statements of the line, as a repaired line has them.
	for len(words) > 0 {
		at := slices.IndexFunc(words, func(w word) bool { return w.brace() })
		if next := r.next(words); next > 0 && (at < 0 || next < at) {
			at = next
		}
		switch at {
		case -1:
			at = len(words)
			done = append(done, r.add(n, words))
		case 0:
			done = append(done, words[0].text)
			r.brace(n, words[0].text)
			at = 1
		default:
			done = append(done, r.add(n, words[:at]))
		}
		if r.count > mostStatements {
			r.report(n, config.Error, fault.New(fmt.Sprintf("more than %d statements", mostStatements), "divide the file"))
			return false
		}
		words = words[at:]
	}
	if !tidy(line, done) {
		r.repaired(n, "keepalived wants one statement on each line, and a blank before each brace", secretless(line), strings.Join(done, "  |  "))
	}
	if strings.HasPrefix(comment, "//") && hidden == nil {
		r.repaired(n, "a comment of keepalived begins with # or !", secretless(line), secretless(strings.TrimSpace(strings.TrimSuffix(line, comment))))
	}
	if hidden != nil {
		after := r.add(n, hidden)
		r.repaired(n, "the comment has lost a line break", secretless(line), after)
	}
	return true
}

// single has the keywords that have one value, or none.
var single = strings.Fields("state interface virtual_router_id priority advert_int nopreempt preempt_delay lvs_sched lb_algo ops persistence_timeout " +
	"persistence_granularity persistence_engine protocol ip_family delay_loop connect_timeout retry nb_get_retry delay_before_retry warmup " +
	"quorum hysteresis inhibit_on_failure uthreshold lthreshold connect_ip connect_port misc_timeout path rise fall interval timeout")

// named has the keywords whose argument can be any name, even the name of a keyword.
var named = []string{"interface", "name", "script", "path", "misc_path", "virtualhost", "track_file", "user", "router_id", "net_namespace"}

// next returns the index of a second keyword of the open block in words, or -1.
func (r *reader) next(words []word) int {
	block := r.top().block
	if !r.grammar.knows(block, words[0].text) {
		return -1
	}
	for i, w := range words[1:] {
		if !w.quoted && r.grammar.knows(block, w.text) && (i > 0 || !slices.Contains(named, words[0].text)) {
			return i + 1
		}
	}
	return -1
}

// tidy reports whether a line has the form of keepalived: a statement with "{" after a blank, or a
// brace alone.
func tidy(line string, done []string) bool {
	switch len(done) {
	case 0, 1:
		return true
	case 2:
		open := strings.Index(line, "{")
		return done[1] == "{" && open > 0 && (line[open-1] == ' ' || line[open-1] == '\t')
	}
	return false
}

// add adds a statement to the open block, and returns its text. A statement that belongs to an
// outer block ends the blocks between.
func (r *reader) add(n int, words []word) string {
	s := &statement{line: n}
	for _, w := range words {
		s.words = append(s.words, w.text)
	}
	r.count++
	r.spell(s)
	r.leave(s)
	at := r.top()
	if at.block == "file" && s.key() == "real_server" {
		at = r.orphan(s)
	}
	if r.strict && !r.grammar.free(at.block) && !r.grammar.knows(at.block, s.key()) {
		r.report(n, config.Error, fault.New(s.title()+": keepalived does not know the keyword here", "correct it, or leave out --strict"))
	}
	s.block = r.grammar.kind(at.block, s.key())
	at.body = append(at.body, s)
	r.before = s
	if slices.Contains(single, s.key()) && len(s.words) > 2 {
		r.report(n, config.Error, fault.New(fmt.Sprintf("%s: more than one value", fault.Quote(secretless(strings.Join(s.words, " ")))), "write one statement on each line"))
	}
	return secretless(strings.Join(s.words, " "))
}

// spell corrects a keyword with one wrong character.
func (r *reader) spell(s *statement) {
	at := r.top().block
	if r.grammar.free(at) || r.grammar.knows(at, s.key()) || r.grammar.somewhere(s.key()) {
		return
	}
	near := ""
	for keyword := range r.grammar[at] {
		if oneEdit(keyword, s.key()) {
			if near != "" {
				return
			}
			near = keyword
		}
	}
	if near == "" {
		return
	}
	before := secretless(strings.Join(s.words, " "))
	s.words[0] = near
	r.repaired(s.line, "keepalived does not know the keyword", before, secretless(strings.Join(s.words, " ")))
}

// leave ends blocks that lack a "}": the statement begins a block that only an outer block can
// have.
func (r *reader) leave(s *statement) {
	if r.grammar.knows(r.top().block, s.key()) || !r.grammar.opens(s.key()) {
		return
	}
	for i := len(r.open) - 2; i >= 0; i-- {
		if kind := r.grammar[r.open[i].block][s.key()]; kind == "" || kind == "line" {
			continue
		}
		r.repaired(s.line, fmt.Sprintf("the block %s from line %d has no \"}\"", r.top().key(), r.inFile(r.top().line)), secretless(strings.Join(s.words, " ")), "}  |  "+secretless(strings.Join(s.words, " ")))
		r.open = r.open[:i+1]
		return
	}
}

// orphan returns the block of a real_server outside of blocks: the last virtual_server, whose block
// has ended too early.
func (r *reader) orphan(s *statement) *statement {
	last := r.server
	if last == nil {
		r.report(s.line, config.Error, fault.New("real_server is not in a virtual_server", "write the virtual_server before it"))
		return r.top()
	}
	text := strings.Join(s.words, " ")
	r.repaired(s.line, fmt.Sprintf("real_server is not in a virtual_server, so the block from line %d has ended too early", r.inFile(last.line)),
		text, strings.Join(last.words, " ")+" { ... "+text)
	return last
}

// brace begins or ends a block.
func (r *reader) brace(n int, text string) {
	before := r.before
	r.before = nil
	switch {
	case text == "{" && (before == nil || before.opened):
		r.report(n, config.Error, fault.New("\"{\" begins no block", "write the keyword of the block before it"))
	case text == "{" && len(r.open) > mostDepth:
		r.report(n, config.Error, fault.New("too many blocks in blocks", "end each block with a line \"}\""))
	case text == "{":
		before.opened = true
		if before.key() == "virtual_server" {
			r.server = before
		}
		r.open = append(r.open, before)
	case len(r.open) == 1:
		r.repaired(n, "\"}\" ends no block", "}", "")
	default:
		r.open = r.open[:len(r.open)-1]
	}
}

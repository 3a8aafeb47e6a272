package keepalived

import (
	"fmt"
	"slices"
	"strings"

	"lvs-agents/internal/config"
	"lvs-agents/internal/config/fault"
)

// program returns the program of a statement with its arguments, or nil. keepalived divides the
// first word into a program and its arguments. The words after it are a user and a group.
func (p *parser) program(s *statement) []string {
	var program []string
	for text := strings.TrimLeft(s.arg(), " \t"); text != ""; text = strings.TrimLeft(text, " \t") {
		var word string
		if text[0] == '"' || text[0] == '\'' {
			word, text = quoted(text)
		} else {
			word, text, _ = strings.Cut(strings.ReplaceAll(text, "\t", " "), " ")
		}
		program = append(program, word)
	}
	if len(program) == 0 {
		p.report(s.line, config.Ignored, fault.New(s.title()+" has no program", "write \""+s.key()+" PROGRAM\""))
		return nil
	}
	if len(s.words) > 2 {
		p.drop(s, "the words after the program are a user and a group, and the program runs as the user of the health daemon",
			"if these words are arguments, write the program and the arguments in quotes")
	}
	if !p.notified {
		p.notified = true
		p.report(s.line, config.Warning, fault.New(s.title()+": programs run as the user of the health daemon, not as script_user, and environment variables describe the event",
			"see docs/alerts.md for the variables and the limits"))
	}
	return program
}

// notify sets the programs that run for a real server. They are a setting of the whole service.
func (p *parser) notify(v *virtual) {
	v.service.Notify.Up = p.shared(v.reals, "notify_up")
	v.service.Notify.Down = p.shared(v.reals, "notify_down")
}

// shared returns the program of a keyword if all real servers have the same one.
func (p *parser) shared(reals []*statement, keyword string) []string {
	programs := make([]*statement, len(reals))
	for i, real := range reals {
		for _, s := range real.body {
			if s.key() != keyword {
				continue
			}
			if programs[i] == nil {
				programs[i] = s
			} else {
				p.again(s)
			}
		}
	}
	first := programs[0]
	other := slices.IndexFunc(programs, func(s *statement) bool { return !sameProgram(s, first) })
	if other < 0 {
		if first == nil {
			return nil
		}
		return p.program(first)
	}
	for _, s := range programs {
		line := reals[0].line
		if sameProgram(s, first) {
			line = reals[other].line
		}
		if s != nil {
			p.drop(s, fmt.Sprintf("it is a setting of the whole service, and the real server in line %d does not have the same", p.inFile(line)),
				"give all real servers the same program; the variable LVS_SERVER names the real server")
		}
	}
	return nil
}

// again reports a statement whose keyword its block already has. keepalived uses the first one.
func (p *parser) again(s *statement) {
	p.report(s.line, config.Ignored, fault.New(s.title()+": the block has the keyword before, and the first one counts", "delete one of them"))
}

func sameProgram(a, b *statement) bool {
	if a == nil || b == nil {
		return a == b
	}
	return slices.Equal(a.args(), b.args())
}

// quorumProgram sets a program that runs for the quorum.
func (p *parser) quorumProgram(program *[]string, s *statement) {
	if *program != nil {
		p.again(s)
		return
	}
	*program = p.program(s)
	if s.key() == "quorum_up" && *program != nil {
		p.report(s.line, config.Warning, fault.New("keepalived runs quorum_up at its start, too, and the health daemon only after quorum_down", ""))
	}
}

// repeated reports that a block with several services runs its programs for each of them.
func (p *parser) repeated(s *statement, n config.Notify, services int) {
	if services > 1 && n.Programs() {
		p.report(s.line, config.Warning, fault.New(fmt.Sprintf("the programs of the block run for each of its %d services", services), "see LVS_SERVICE in docs/alerts.md"))
	}
}

// notify writes a program with its arguments. An empty program has no statement.
func (w *writer) notify(keyword string, program []string) {
	if len(program) == 0 {
		return
	}
	line, hidden := w.text([]string{keyword, command(program)}), w.text([]string{keyword, command(config.HideWords(program))})
	if hidden != line {
		w.hidden[line] = hidden
	}
	w.WriteString(line + "\n")
}

// command returns the words of a command as one text, which the method program divides.
func command(words []string) string {
	quoted := make([]string, len(words))
	for i, word := range words {
		quoted[i] = word
		if word == "" || strings.ContainsAny(word, " \t\"'\\") {
			quoted[i] = always(word)
		}
	}
	return strings.Join(quoted, " ")
}

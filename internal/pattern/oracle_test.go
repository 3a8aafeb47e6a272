package pattern

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"strings"
	"testing"
)

// question is an expression, and the text that Perl matches against the expression.
type question struct{ expression, text string }

// oracle runs Perl, which matches each expression against its text. For each question it
// returns "1", "0", or "error" with the reason.
func oracle(t *testing.T, questions []question) []string {
	t.Helper()
	if _, err := exec.LookPath("perl"); err != nil {
		t.Skip("no perl to compare with")
	}
	var in bytes.Buffer
	for _, q := range questions {
		fmt.Fprintf(&in, "%x %x\n", q.expression, q.text)
	}
	cmd := exec.CommandContext(t.Context(), "perl", "testdata/oracle.pl")
	cmd.Env = []string{"LC_ALL=C"}
	cmd.Stdin = &in
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	answers := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	if len(answers) != len(questions) {
		t.Fatalf("%d answers to %d questions", len(answers), len(questions))
	}
	return answers
}

// ours matches a text against its expression with this package, and returns the result in the same
// format as oracle.
func ours(t *testing.T, q question) string {
	t.Helper()
	p, err := Compile(q.expression)
	if err != nil {
		return "error " + err.Error()
	}
	found, err := p.Match(t.Context(), []byte(q.text), nil)
	switch {
	case err != nil:
		return "limit"
	case found:
		return "1"
	}
	return "0"
}

// TestPerlAgrees checks that the Perl of this host returns the results that the other tests expect.
func TestPerlAgrees(t *testing.T) {
	var questions []question
	for _, tt := range perls() {
		questions = append(questions, question{tt.expression, tt.text})
	}
	for i, answer := range oracle(t, questions) {
		want := perls()[i].want
		bothRefuse := strings.HasPrefix(answer, "error") && strings.HasPrefix(want, "error")
		if answer != want && !bothRefuse {
			t.Errorf("%q on %.40q: Perl says %s, we want %s", questions[i].expression, questions[i].text, answer, want)
		}
	}
}

// TestPerlKnowsTheSameBytes checks that a class such as \w contains the same bytes in this package
// and in Perl.
func TestPerlKnowsTheSameBytes(t *testing.T) {
	classes := []string{
		`\w`, `\W`, `\d`, `\s`, `\S`, `\h`, `\v`, `\V`, `\N`, `.`, `[^a]`, `[a-z\xe0-\xff]`, `k`, `\xb5`, `\xff`, `[\xc0-\xd0]`, `[\x{100}-\x{2200}]`, `[^\W_]`,
		`\pL`, `\p{Lu}`, `\p{Ll}`, `\p{L&}`, `\p{P}`, `\p{S}`, `\p{Sm}`, `\p{N}`, `\p{No}`, `\p{Z}`, `\p{C}`, `\p{Cc}`, `\p{Latin}`, `\p{Common}`,
		`\p{Alpha}`, `\p{Alnum}`, `\p{Upper}`, `\p{Lowercase}`, `\p{Punct}`, `\p{XPosixPunct}`, `\p{PosixPunct}`, `\p{Space}`, `\p{Word}`,
		`\p{XDigit}`, `\p{Print}`, `\p{Graph}`, `\p{Cntrl}`, `\p{Blank}`, `\p{ASCII}`, `\p{Any}`, `\p{VertSpace}`, `\p{HorizSpace}`,
		`\p{Letter}`, `\p{Other Symbol}`, `\p{gc=Lu}`, `\p{Uppercase_Letter}`,
	}
	for _, name := range []string{"alpha", "alnum", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper", "word", "xdigit"} {
		classes = append(classes, "[[:"+name+":]]", "[[:^"+name+":]x]")
	}
	var questions []question
	for _, class := range classes {
		for _, flag := range []string{"", "(?i)", "(?u)", "(?ui)", "(?a)", "(?ai)", "(?aa)", "(?aai)"} {
			for b := range 256 {
				questions = append(questions, question{flag + `\A` + class + `\z`, string([]byte{byte(b)})})
			}
		}
	}
	var p *Pattern
	for i, answer := range oracle(t, questions) {
		if i%256 == 0 {
			compiled, err := Compile(questions[i].expression)
			if err != nil {
				t.Fatal(err)
			}
			p = compiled
		}
		if got, err := p.Match(t.Context(), []byte(questions[i].text), nil); err != nil || got != (answer == "1") {
			t.Errorf("%s on %q: %t, %v, Perl says %s", questions[i].expression, questions[i].text, got, err, answer)
		}
	}
}

// TestPerlAgreesOnRandomExpressions checks that this package and Perl agree on random expressions
// that both support. The test skips expressions that Perl refuses, that exceed our limits, or that
// have a look-behind without a limit. It also skips an atomic group in a look-behind, which Perl
// 5.36 matches wrongly.
func TestPerlAgreesOnRandomExpressions(t *testing.T) {
	pieces := strings.Split(`a b c A \n . ^ $ * + ? *? +? ?? *+ ++ ?+ {2} {1,2} {0,3}? {,2} {2,}+ ( ) (?: (?= (?! (?<= (?<! (?> (?| | `+
		`[ab] [^a] \w \W \d \s \b \B \z \Z \A \G \K \1 \2 \g{-1} (?i) (?m) (?s) (?x) (?-i) (?i: (?^: (?a) (?u) \xe9 é \x{e9} \h \H \v \V `+
		`\R \N \X [[:alpha:]] [[:^upper:]] [\w-a] (?(1)a|b) (?(?=a)b|c) (?1) a(?R)?b (?<n>a) \k<n> (?&n) \p{L} \PL (?#c) \s+ .*`, " ")
	texts := []string{"", "a", "b", "ab", "aab", "abc\n", "a\nb", "aA b", "\xe9a", "\xc9\xe9", "a\r\nb", "caab ab\n", "\xa0\x85a", "bca\n\n"}
	chosen := rand.New(rand.NewPCG(1, 2))
	var questions []question
	for len(questions) < 6000 {
		expression, open := "", 0
		for range 1 + chosen.IntN(6) {
			piece := pieces[chosen.IntN(len(pieces))]
			if open += strings.Count(piece, "(") - strings.Count(piece, ")"); open < 0 {
				open = 0
				continue
			}
			expression += piece
		}
		expression += strings.Repeat(")", open)
		behind := strings.Contains(expression, "(?<=") || strings.Contains(expression, "(?<!")
		if !behind || !strings.Contains(expression, "(?>") && !strings.Contains(expression, "+") && !strings.Contains(expression, `\R`) && !strings.Contains(expression, `\X`) {
			questions = append(questions, question{expression, texts[chosen.IntN(len(texts))]})
		}
	}
	both := 0
	for i, answer := range oracle(t, questions) {
		got := ours(t, questions[i])
		if got == "limit" || strings.HasPrefix(answer, "error") || strings.HasPrefix(got, "error a look-behind") {
			continue
		}
		if both++; got != answer {
			t.Errorf("%q on %q: %s, Perl says %s", questions[i].expression, questions[i].text, got, answer)
		}
	}
	if both < len(questions)/2 {
		t.Errorf("only %d expressions were compared", both)
	}
}

package pattern

import (
	"bytes"
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"
)

// perls returns expressions, texts, and the results of Perl 5.36: "1" if the text matches, "0" if
// the text does not match.
func perls() []struct{ expression, text, want string } {
	return []struct{ expression, text, want string }{
		// Bytes are characters.
		{`^.$`, "\xe9", "1"},
		{`^..$`, "é", "1"},
		{`\xe9`, "\xe9", "1"},
		{`\x{e9}`, "\xe9", "1"},
		{`\xe9`, "é", "0"},
		{`é`, "é", "1"},
		{`é`, "\xe9", "0"},
		{"\xe9", "\xe9", "1"},
		{"\xe9", "\xc3", "0"},
		{`[é]`, "\xc3", "1"},
		{`^[^a]{2}$`, "é", "1"},
		{`^\W+$`, "é", "1"},
		{`\w`, "\xe9", "0"},
		{`(?i)\xe9`, "\xc9", "0"},
		{`(?u)\w`, "\xe9", "1"},
		{`(?ui)\xe9`, "\xc9", "1"},
		{`(?a)\w`, "\xe9", "0"},
		{`\s`, "\xa0", "0"},
		{`(?u)\s`, "\xa0", "1"},
		{`^\W(?!x)`, "\xff", "1"},
		{`\x{263a}`, "\xe2\x98\xba", "0"},
		{`\w\x{263a}?`, "\xe9", "1"}, // \x{263a} makes \w match the letters of Unicode.
		{`\w\p{L}?`, "\xe9", "1"},
		{`\N{U+e9}`, "\xe9", "1"},
		// Escapes.
		{`^\h\H\v\V$`, "\t.\x0b.", "1"},
		{`\h`, "\xa0", "1"},
		{`\v`, "\x85", "1"},
		{`^a\R\z`, "a\r\n", "1"},
		{`^\R\n`, "\r\n", "0"}, // \R takes both bytes, and does not try only "\r".
		{`\R`, "\x85", "1"},
		{`^\N+$`, "abc\n", "1"},
		{`^\N{3}$`, "abc", "1"},
		{`^\X\z`, "\r\n", "1"},
		{`\101\x41\x{41}\o{101}\cA`, "AAAA\x01", "1"},
		{`\cz\c[\e`, "\x1a\x1b\x1b", "1"},
		{`\0\00\012`, "\x00\x00\n", "1"},
		{`\18`, "\x018", "1"}, // There is no group 18, so \1 is an octal number.
		{`[\8\1]`, "8", "1"},
		{`\xg`, "\x00g", "1"},
		{`\a\f\t\e`, "\a\f\t\x1b", "1"},
		{`\Qa.b\E`, "a.b", "0"}, // Perl interprets \Q only in its source text.
		{`\Qa.b\E`, "QaxbE", "1"},
		{`\_\y\-`, "_y-", "1"},
		{`a\Kb`, "ab", "1"},
		{`\Gb`, "ab", "0"},
		// Places.
		{`OK$`, "OK\n", "1"},
		{`OK$`, "OK\n\n", "0"},
		{`OK\Z`, "OK\n", "1"},
		{`OK\z`, "OK\n", "0"},
		{`OK$\n`, "OK\n", "1"},
		{`\AOK`, "\nOK", "0"},
		{`(?m)^OK$`, "a\nOK\nb", "1"},
		{`(?m)\n^`, "a\n", "0"},
		{`(?m)\n^`, "a\nb", "1"},
		{`(?m)^\z`, "a\n", "0"},
		{`a|$`, "", "1"},
		{`$a`, "a", "0"},
		{`^*a`, "a", "1"},
		// Repetitions.
		{`a++a`, "aaa", "0"},
		{`a*+b`, "aab", "1"},
		{`a?+a`, "a", "0"},
		{`a{2}+a`, "aaa", "1"},
		{`(?>a+)b`, "aab", "1"},
		{`(?>a|ab)c`, "abc", "0"},
		{`^a{,2}b`, "b", "1"},
		{`^a{ 1, 2 }b`, "ab", "1"},
		{`a{2`, "a{2", "1"},
		{`a{,}`, "a{,}", "1"},
		{`{a}`, "{a}", "1"},
		{`a{3,2}`, "aaa", "0"},
		{`^a{1001}$`, strings.Repeat("a", 1001), "1"},
		{`^(?:ab){1001}$`, strings.Repeat("ab", 1001), "1"},
		{`^(a|b)*?c`, "abc", "1"},
		{`(a*)*b`, "aab", "1"},
		{`(|a)+b`, "aab", "1"},
		// Groups.
		{`(?<n>a)\k<n>\k'n'\k{n}\g{n}(?P=n)`, "aaaaaa", "1"},
		{`(?'n'a)(?P<m>b)\2\1`, "abba", "1"},
		{`(a)(b)\g{-1}\g-2\g1\g{2}`, "abbaab", "1"},
		{`(?|(a)|(b))\1`, "bb", "1"},
		{`(?|(a)(x)|(b))(c)\3`, "bcc", "1"},
		{`(?n)(a)(?<m>b)\1`, "abb", "1"},
		{`(?i)(a)\1`, "aA", "1"},
		{`(a\1)`, "aa", "0"},
		{`(?:(a|b\1))+c`, "abac", "1"},
		// Flags.
		{`(?^i:A)`, "a", "1"},
		{`(?i)a(?-i)b`, "AB", "0"},
		{`(?i:a)b`, "Ab", "1"},
		{`((?i)a)a`, "AA", "0"},
		{`a(?i)b|c`, "C", "1"},
		{`(?x) a b # note`, "ab", "1"},
		{`(?x)a\ b[ ]c`, "a b c", "1"},
		{`(?x) a + b`, "aab", "1"},
		{`(?xx)[a b]c`, "bc", "1"},
		{`(?xx)[a b]c`, " c", "0"},
		{`a(?#note)b`, "ab", "1"},
		{`(?s)a.b`, "a\nb", "1"},
		{`a.b`, "a\nb", "0"},
		// Classes.
		{`[[:alpha:]][[:^digit:]]`, "ab", "1"},
		{`[[:word:]]`, "\xe9", "0"},
		{`(?u)[[:word:]]`, "\xe9", "1"},
		{`(?i)[[:upper:]]`, "a", "1"},
		{`(?i)[^[:upper:]]`, "a", "0"},
		{`[]a]`, "]", "1"},
		{`[^]a]`, "]", "0"},
		{`[\w-a]`, "-", "1"},
		{`[a-\d]`, "-", "1"},
		{`[\b]`, "\b", "1"},
		{`[[.]`, "[", "1"},
		{`[:alpha:]`, "p", "1"},
		{`\p{Greek}`, "a", "0"},
		{`\p{IsUpper}\p{Lu}\pL\P{Lu}\p{^Lu}`, "AAAaa", "1"},
		{`\p{Script=Latin}\p{XPosixAlpha}`, "\xe9\xe9", "1"},
		{`\p{PosixAlpha}`, "\xe9", "0"},
		// Look-around.
		{`a(?=b)`, "ab", "1"},
		{`^(?!.*error)`, "an error", "0"},
		{`(?<=a)b`, "ab", "1"},
		{`(?<!a)b`, "ab", "0"},
		{`(?<=a{1,3})b`, "aaab", "1"},
		{`(?<=ab|c)d`, "cd", "1"},
		{`(*pla:a)a(*nlb:b)`, "a", "1"},
		{`(*positive_lookbehind:a)b(*atomic:c+)`, "abc", "1"},
		{`a(*FAIL)|b(*F)|c`, "c", "1"},
		// Conditions and calls.
		{`^(a)?(?(1)b|c)$`, "c", "1"},
		{`^(?<n>a)?(?(<n>)b|c)$`, "ab", "1"},
		{`(?(?=a)ab|c)`, "ab", "1"},
		{`(?(?!a)c|ab)`, "ab", "1"},
		{`^\((?:[^()]++|(?R))*\)$`, "(a(b)c)", "0"}, // (?R) calls the whole expression, with the ^.
		{`^(\((?:[^()]++|(?1))*\))$`, "(a(b)c)", "1"},
		{`^(\((?:[^()]++|(?1))*\))$`, "(a(b)c", "0"},
		{`(?<p>\[(?:\d|(?&p))*\])$`, "[1[2]]", "1"},
		{`(?<p>\[(?:\d|(?P>p))*\])$`, "[1[2]]", "1"},
		{`^(?&d)$(?(DEFINE)(?<d>\d+))`, "12", "1"},
		{`(?+1)(b)`, "bb", "1"},
		{`(b)(?-1)`, "bb", "1"},
		{`^(a(?(R1)x|(?1)))$`, "aax", "1"},
		{`(a){0}(?1)b`, "ab", "1"},
		// Invalid expressions.
		{`(`, "", "error no closing parenthesis at character 1"},
		{`a)`, "", `error a closing parenthesis without an opening one at character 2; write \)`},
		{`[a`, "", `error no closing bracket at character 1; write \[ for a bracket`},
		{`*a`, "", `error a quantifier that follows nothing at character 1; write \*`},
		{`a**`, "", "error nested quantifiers at character 3; put the inner one into (?:…)"},
		{`[z-a]`, "", "error a range that is reversed at character 5"},
		{`\`, "", `error a backslash at the end at character 1; write \\`},
		{`\8`, "", "error a reference to a group that does not exist at character 1"},
		{`\k<n>`, "", "error a reference to a group that does not exist at character 1"},
		{`(?9)`, "", "error a call of a group that does not exist at character 1"},
		{`[[:foo:]]`, "", "error unknown class [:foo:] at character 2"},
		{`(?<=a+)b`, "", "error a look-behind whose length has no limit, or more than 255 characters, at character 1; limit its repetitions"},
		{`a{65535}`, "", "error a repetition of more than 65534 times at character 8"},
		{`(?{1})`, "", "error code inside an expression, (?{…}), is not understood at character 1; Perl refuses it in ldirectord, too"},
		{`(??{1})`, "", "error code inside an expression, (?{…}), is not understood at character 1; Perl refuses it in ldirectord, too"},
		{`\C`, "", `error \C is not understood at character 1; write (?s:.)`},
		{`\p{Foo}`, "", `error \p{Foo} is not understood at character 1; write the characters as a class, […]`},
	}
}

// unknowns returns expressions that Perl supports and this package does not.
func unknowns() []struct{ expression, want string } {
	return []struct{ expression, want string }{
		{`(?[ [a-z] - [b] ])`, "an extended class, (?[…]), is not understood at character 1; write an ordinary class, […]"},
		{`a(*ACCEPT)b`, "(*ACCEPT) is not understood at character 2; write the expression without it"},
		{`a(*SKIP)b`, "(*SKIP) is not understood at character 2; write the expression without it"},
		{`a(*COMMIT)b`, "(*COMMIT) is not understood at character 2; write the expression without it"},
		{`a(*PRUNE)b`, "(*PRUNE) is not understood at character 2; write the expression without it"},
		{`a(*THEN)b`, "(*THEN) is not understood at character 2; write the expression without it"},
		{`(*sr:a)`, "(*sr) is not understood at character 1; write the expression without it"},
		{`\b{wb}`, `\b{…} is not understood at character 1; write \b`},
		{`\N{LATIN SMALL LETTER A}`, `\N{NAME} is not understood at character 1; write the number of the character, as \x{e9}`},
		{`(?l)a`, "the flag l, which follows the daemon's locale, is not understood at character 1; delete the l"},
		{`\p{Block=Latin1}`, `\p{Block=Latin1} is not understood at character 1; write the characters as a class, […]`},
		{`(a)(?<=(?1))`, "a look-behind whose length has no limit, or more than 255 characters, at character 1; limit its repetitions"},
	}
}

func TestPerl(t *testing.T) {
	for _, tt := range perls() {
		if got := ours(t, question{tt.expression, tt.text}); got != tt.want {
			t.Errorf("%q on %.40q: %s, want %s", tt.expression, tt.text, got, tt.want)
		}
	}
}

func TestUnknownConstructsAreNamed(t *testing.T) {
	for _, tt := range unknowns() {
		if _, err := Compile(tt.expression); err == nil || err.Error() != tt.want {
			t.Errorf("%q: %v, want %s", tt.expression, err, tt.want)
		}
		if err := Check(tt.expression); err == nil || err.Error() != tt.want {
			t.Errorf("Check(%q): %v", tt.expression, err)
		}
	}
}

// TestBothMatchersAgree checks that Go's library and the matcher of this package agree on the
// expressions that both support.
func TestBothMatchersAgree(t *testing.T) {
	for _, tt := range perls() {
		n, groups, err := parse(tt.expression)
		if err != nil {
			continue
		}
		fast, ok := linear(n)
		if !ok {
			continue
		}
		got, err := compile(n, groups).match(t.Context(), []byte(tt.text), nil)
		if err != nil || got != fast.Match(characters([]byte(tt.text))) {
			t.Errorf("%q on %.40q: the machine says %t, %v", tt.expression, tt.text, got, err)
		}
	}
}

// TestMatchIsBounded checks that the pages of a hostile server cannot make a match use much memory.
func TestMatchIsBounded(t *testing.T) {
	const most = 64 << 20 // most is in bytes. Without the race detector, a match needs only half.
	pages := []string{strings.Repeat("a", 1<<20), strings.Repeat("(", 1<<20)}
	for _, expression := range []string{
		`^(?!x)(a+)+\z(?<=b)`, `(?s)^(?:(?!error).)*$`, `(?=.*foo)bar`, `(?:(a)|(b))*\1$`, `(a+)\1+$`, `\((?:[^()]++|(?R))*\)`,
		`(.*)(.*)(.*)(.*)\4x`, `((a|b)*)*(?=c)`, `((?R)|a)`, `(?>(?:a|b)*)+?(?=c)`, `(?:(?:(?:a*)*)*)*(?=c)`,
	} {
		p, err := Compile(expression)
		if err != nil {
			t.Fatal(err)
		}
		for _, page := range pages {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			_, err := p.Match(ctx, []byte(page), nil)
			cancel()
			runtime.ReadMemStats(&after)
			if err != nil && !errors.Is(err, ErrLimit) {
				t.Errorf("%s: %v", expression, err)
			}
			if took := after.TotalAlloc - before.TotalAlloc; took > most {
				t.Errorf("%s on %.3q…: %d MB", expression, page, took>>20)
			}
		}
	}
}

// TestPagesOfOrdinarySize checks that pages of ordinary size do not reach the limits of a match.
func TestPagesOfOrdinarySize(t *testing.T) {
	page := bytes.Repeat([]byte("hello world, all is well\n"), 10000)
	for expression, want := range map[string]bool{
		`(?s)^(?:(?!error).)*$`: true, `(?s)^(?!.*error).*well`: true, `(?s)(?<!all )is well(?!\n)`: false, `(?s).*(?=all is bad)`: false,
	} {
		p, err := Compile(expression)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := p.Match(t.Context(), page, nil); err != nil || got != want {
			t.Errorf("%s: %t, %v", expression, got, err)
		}
	}
}

func TestMatchEndsWithItsContext(t *testing.T) {
	p, err := Compile(`(?=(a+)+$)b`)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := p.Match(ctx, []byte(strings.Repeat("a", 40)+"x"), nil); !errors.Is(err, ErrLimit) {
		t.Error(err)
	}
}

// TestRoom checks that only matches that need much memory wait for room.
func TestRoom(t *testing.T) {
	p, err := Compile(`(?s)^(?:(?!error).)*$`)
	if err != nil {
		t.Fatal(err)
	}
	room := NewRoom()
	for range cap(room) {
		room <- struct{}{}
	}
	large := bytes.Repeat([]byte("a"), 2*fewStack)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if found, err := p.Match(t.Context(), large[:1000], room); err != nil || !found {
		t.Errorf("a small page: %t, %v", found, err)
	}
	if _, err := p.Match(ctx, large, room); !errors.Is(err, ErrLimit) {
		t.Errorf("without room: %v", err)
	}
	<-room
	for range 3 { // A third match finds room only if the matches before released theirs.
		if found, err := p.Match(t.Context(), large, room); err != nil || !found {
			t.Errorf("with room: %t, %v", found, err)
		}
	}
}

// FuzzMatch checks that Go's library and the matcher of this package agree on an expression and a
// text.
func FuzzMatch(f *testing.F) {
	for _, tt := range perls() {
		f.Add(tt.expression, tt.text)
	}
	for _, tt := range unknowns() {
		f.Add(tt.expression, "a")
	}
	f.Fuzz(func(t *testing.T, expression, text string) {
		if len(text) > 200 || len(expression) > 200 {
			return
		}
		n, groups, err := parse(expression)
		if (err == nil) != (Check(expression) == nil) {
			t.Fatal("Check judges otherwise")
		}
		if err != nil {
			return
		}
		found, err := compile(n, groups).match(t.Context(), []byte(text), nil)
		if fast, ok := linear(n); ok && err == nil && found != fast.Match(characters([]byte(text))) {
			t.Errorf("%q on %q: the machine says %t", expression, text, found)
		}
	})
}

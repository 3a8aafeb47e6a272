package policy

import (
	"strconv"
	"strings"
)

// Read returns what a server says after a line of HAProxy's agent-check protocol. The words of a
// line are separated by blanks, tabs or commas. What a line does not mention stays as before. Words
// that the protocol does not have change nothing. Of several words about the same state, the last
// one counts. A line without its end changes nothing either, because the rest of it can be missing.
func (s Says) Read(text string) Says {
	end := strings.IndexAny(text, "\r\n")
	if end < 0 {
		return s
	}
	line, comment, commented := strings.Cut(text[:end], "#")
	for _, word := range strings.FieldsFunc(line, func(c rune) bool { return c == ' ' || c == '\t' || c == ',' }) {
		word = strings.ToLower(word)
		before := s
		s = s.word(word)
		if s.Down != before.Down || s.Mode != before.Mode || word == "up" || word == "ready" {
			s.Comment = ""
		}
	}
	if commented && (s.Down || s.Mode != "") {
		s.Comment = printable(comment)
	}
	return s
}

// word returns what a server says after one word of the protocol. A percentage above 100 counts as
// 100: no server can draw more connections than its configuration allows.
func (s Says) word(word string) Says {
	switch word {
	case "up":
		s.Down = false
	case "down", "fail", "failed", "stopped":
		s.Down = true
	case "ready":
		s.Mode = ""
	case "drain":
		s.Mode = Drain
	case "maint":
		s.Mode = Maint
	}
	const most = 1 << 31
	if percent, found := strings.CutSuffix(word, "%"); found {
		if n, err := strconv.ParseUint(percent, 10, 31); err == nil {
			s.Weight, s.HasWeight = int(min(n, 100)), true
		}
	}
	if limit, found := strings.CutPrefix(word, "maxconn:"); found {
		if n, err := strconv.ParseUint(limit, 10, 32); err == nil && n < most {
			s.MaxConn = int(n)
		}
	}
	return s
}

// printable returns the text of a comment, at most 80 characters, without control characters.
func printable(text string) string {
	const longest = 80
	runes := []rune(strings.TrimSpace(strings.Map(func(c rune) rune {
		if c < ' ' || c == 127 {
			return ' '
		}
		return c
	}, strings.ToValidUTF8(text, "?"))))
	return string(runes[:min(len(runes), longest)])
}

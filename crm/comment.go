package crm

import "strings"

// Fencing is the remark that every output begins with.
const Fencing = "A cluster needs fencing: configure your fence agents first, and do not change no-quorum-policy."

// width is the length of comment lines.
const width = 88

// head returns the comment at the start of a file: what the file is, the command that loads it, and
// the remarks.
func (r Resources) head(command string) string {
	text := commented(r.Title) + "#\n#   " + command + "\n#\n"
	for _, remark := range r.Remarks {
		text += commented(remark) + "#\n"
	}
	return text + commented(Fencing)
}

// comment returns the comment of a constraint.
func comment(c Constraint) string {
	switch c := c.(type) {
	case Order:
		return c.Comment
	case Colocation:
		return c.Comment
	case Location:
		return c.Comment
	}
	return ""
}

// commented returns a text as lines of comments.
func commented(text string) string {
	var b strings.Builder
	line := "#"
	for word := range strings.FieldsSeq(text) {
		if len(line)+1+len(word) > width && line != "#" {
			b.WriteString(line + "\n")
			line = "#"
		}
		line += " " + word
	}
	return b.String() + line + "\n"
}

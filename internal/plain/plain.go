// Package plain makes texts from other hosts harmless for a terminal.
package plain

import (
	"fmt"
	"strconv"
	"strings"
)

// Line returns a text in one line that a terminal only displays. Real servers and configurations
// can contain line breaks and escape sequences of terminals. Characters that cannot be printed
// become \u and their number, which is also correct inside a text of JSON.
func Line(text string) string {
	text = strings.ToValidUTF8(text, "\ufffd")
	if !strings.ContainsFunc(text, unprintable) {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		switch {
		case !unprintable(r):
			b.WriteRune(r)
		case r > 0xffff:
			b.WriteRune('\ufffd') // JSON has no short form for these characters.
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

func unprintable(r rune) bool { return !strconv.IsPrint(r) }

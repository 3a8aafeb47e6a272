package record

import (
	"errors"
	"fmt"
	"hash/fnv"
	"strings"

	"lvs-agents/internal/state"
)

// author is who wrote a file, as it says itself.
type author struct{ owner, cookie string }

func (a author) wrote(here state.Here) bool { return here.Wrote(a.owner, a.cookie) }

// sumWord begins the line with the sum of all lines before it.
const sumWord = "sum "

func sum(text string) string {
	h := fnv.New64a()
	_, _ = h.Write([]byte(text))
	return fmt.Sprintf("%016x", h.Sum64())
}

// sealed adds the line with the sum to a text. The sum tells a slip of an editor or
// a disk; it is no protection against a person who means it.
func sealed(text, comment string) string { return text + comment + sumWord + sum(text) + "\n" }

// unchanged is an error for a text with another sum than its own. A text without
// one is of a version before this one.
func unchanged(text, comment string) error {
	before, after, found := strings.Cut(text, "\n"+comment+sumWord)
	if !found {
		return nil
	}
	given, _, _ := strings.Cut(after, "\n")
	if given != sum(before+"\n") {
		return errors.New("a line was changed after it was written")
	}
	return nil
}

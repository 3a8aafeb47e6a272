package state

import (
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"strings"
)

// ErrDamaged says that a file exists but could not be read completely. The caller also gets the
// readable part.
var ErrDamaged = errors.New("damaged record")

// Load is Read for a file that only a resource or a daemon writes. The error is
// fs.ErrNotExist if there is not a file, and ErrDamaged otherwise.
func Load(path string) (string, error) {
	text, err := Read(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return text, err
}

// Origin is where a file was written, according to its own lines.
type Origin struct {
	Owner  string // boot id and inode of the network namespace
	Cookie string // of the network namespace; empty before Linux 5.14, and in files of old versions
}

// Read stores the value of a line if Head writes lines with this name, and reports whether it
// does.
func (o *Origin) Read(name, value string) bool {
	switch name {
	case "owner":
		o.Owner = value
	case "cookie":
		o.Cookie = value
	default:
		return false
	}
	return true
}

// Head returns the lines for Origin. Each line begins with comment, which can be empty.
func (h Here) Head(comment string) string {
	return comment + "owner " + h.Owner() + "\n" + comment + "cookie " + h.Cookie + "\n"
}

// sumWord begins the line with the sum of all lines before it.
const sumWord = "sum "

func sum(text string) string {
	h := fnv.New64a()
	_, _ = h.Write([]byte(text))
	return fmt.Sprintf("%016x", h.Sum64())
}

// Seal adds the line with the sum to a text. The sum reveals accidental changes by an editor or a
// disk. It does not protect against a deliberate change.
func Seal(text, comment string) string { return text + comment + sumWord + sum(text) + "\n" }

// Unseal returns the lines before the line with the sum, and an error if their sum differs. It
// returns a text without a sum as it is: old versions wrote none.
func Unseal(text, comment string) (string, error) {
	before, after, found := strings.Cut(text, "\n"+comment+sumWord)
	if !found {
		return text, nil
	}
	given, _, _ := strings.Cut(after, "\n")
	if before += "\n"; given != sum(before) {
		return before, errors.New("a line was changed after it was written")
	}
	return before, nil
}

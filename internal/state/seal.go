package state

import (
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"strings"
)

// ErrDamaged is the error for a state file that exists but could not be read completely, or was
// changed after it was written. The caller also gets the part that could be read.
var ErrDamaged = errors.New("damaged record")

// Load reads a file that only a resource or a daemon writes. The error is fs.ErrNotExist if the
// file does not exist. Every other error is ErrDamaged.
func Load(path string) (string, error) {
	text, err := Read(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return text, err
}

// Origin is the boot and the network namespace where a file was written, according to the lines of
// the file.
type Origin struct {
	Owner string // Owner is the boot id and the inode number of the network namespace.
	// Cookie is the cookie of the network namespace. It is empty before Linux 5.14, and in files of
	// old versions.
	Cookie string
}

// Read stores the value of a line with the name owner or cookie. It reports whether the line has
// one of these names.
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

// Head returns the lines that Origin reads. Each line begins with the text comment, which can be
// empty.
func (h Here) Head(comment string) string {
	return comment + "owner " + h.Owner() + "\n" + comment + "cookie " + h.Cookie + "\n"
}

// sumWord begins the line that has the checksum of all lines before it.
const sumWord = "sum "

func sum(text string) string {
	h := fnv.New64a()
	_, _ = h.Write([]byte(text))
	return fmt.Sprintf("%016x", h.Sum64())
}

// Seal adds a line with a checksum to a text. With the checksum, a reader detects accidental
// changes by an editor or a disk. The checksum does not protect against a deliberate change.
func Seal(text, comment string) string { return text + comment + sumWord + sum(text) + "\n" }

// Unseal returns the lines before the line with the checksum, and an error if their checksum
// differs. It returns a text without a checksum as it is, because old versions wrote no checksum.
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

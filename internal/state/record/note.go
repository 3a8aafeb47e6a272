package record

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"lvs-agents/internal/state"
)

// Note is a text that one vip resource keeps until the next boot, in the network
// namespace that it was written in.
type Note struct{ path string }

// The kinds of notes.
const (
	// Loopback is what was taken off lo and has to be put back.
	Loopback = "loopback"
	// Proof is what neighbours said about the last take-over.
	Proof = "proof"
	// Announced is when the address was last announced, as time since boot.
	Announced = "announced"
)

// NoteOf is the note of a kind of a resource, below a state directory. Nothing is
// created before the first Write.
func NoteOf(stateDir, kind, id string) Note {
	return Note{filepath.Join(stateDir, "vip", kind, escape(id))}
}

// Read returns the text, empty if there is none that counts. ErrDamaged says that
// there is something else.
func (n Note) Read() (string, error) {
	text, err := read(n.path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	here, err := state.Now()
	if err != nil {
		return "", err
	}
	first, rest, _ := strings.Cut(text, "\n")
	by := author{owner: strings.TrimPrefix(first, "# owner ")}
	if cookie, more, found := strings.Cut(strings.TrimPrefix(rest, noteCookie), "\n"); found && strings.HasPrefix(rest, noteCookie) {
		by.cookie, rest = cookie, more
	}
	if err := unchanged(text, "# "); err != nil {
		return "", fmt.Errorf("%s: %w: %w", n.path, ErrDamaged, err)
	}
	if !by.wrote(here) {
		return "", nil
	}
	if i := strings.LastIndex("\n"+rest, "\n# "+sumWord); i >= 0 {
		rest = rest[:i]
	}
	return rest, nil
}

// noteCookie begins the second line.
const noteCookie = "# cookie "

// Write replaces the text. After a crash either the old or the new one is there.
func (n Note) Write(text string) error {
	here, err := state.Now()
	if err != nil {
		return err
	}
	return state.Write(n.path, sealed("# owner "+here.Owner()+"\n"+noteCookie+here.Cookie+"\n"+text, "# "))
}

// Remove deletes the text. That there is none is success.
func (n Note) Remove() error { return state.Remove(n.path) }

// Notes returns all texts of a kind below a state directory that count, by the
// names of their files, which are the resources' ids but for strange characters.
func Notes(stateDir, kind string) (map[string]string, error) {
	dir := filepath.Join(stateDir, "vip", kind)
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	notes := map[string]string{}
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), ".") {
			continue
		}
		text, err := Note{filepath.Join(dir, entry.Name())}.Read()
		if err != nil {
			return nil, err
		}
		if text != "" {
			notes[entry.Name()] = text
		}
	}
	return notes, nil
}

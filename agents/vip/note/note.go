// Package note keeps texts of vip resources in files. A text is valid until the next boot.
package note

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"lvs-agents/internal/state"
)

// Note is a text that one resource keeps until the next boot, in the network namespace where the
// text was written.
type Note struct{ path string }

// The kinds of notes that a vip resource keeps.
const (
	// Loopback notes have the addresses that start has removed from lo and that stop must add
	// again.
	Loopback = "loopback"
	// Proof notes have the replies of neighbours after the last start that added the address.
	Proof = "proof"
	// Announced notes have the time of the last announcement, since boot.
	Announced = "announced"
)

// Of returns a note of a resource. Its file is in stateDir. Of creates nothing; the first Write
// creates the file.
func Of(stateDir, kind, id string) Note {
	return Note{filepath.Join(stateDir, "vip", kind, state.FileName(id))}
}

// comment begins the lines of the file that are not a part of the text.
const comment = "# "

// Read returns the text of the note. The text is empty if there is no note of this boot and network
// namespace. The error is state.ErrDamaged if the file was changed or cannot be used.
func (n Note) Read() (string, error) {
	text, err := state.Load(n.path)
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
	if text, err = state.Unseal(text, comment); err != nil {
		return "", fmt.Errorf("%s: %w: %w", n.path, state.ErrDamaged, err)
	}
	origin, text := origin(text)
	if !here.Wrote(origin.Owner, origin.Cookie) {
		return "", nil
	}
	return text, nil
}

// origin returns where a note was written (boot and network namespace), and the text of the note.
func origin(text string) (origin state.Origin, rest string) {
	for strings.HasPrefix(text, comment) {
		line, after, _ := strings.Cut(text, "\n")
		name, value, _ := strings.Cut(strings.TrimPrefix(line, comment), " ")
		if !origin.Read(name, value) {
			break
		}
		text = after
	}
	return origin, text
}

// Write replaces the text. After a crash, the file has either the old text or the new text, see
// state.Write.
func (n Note) Write(text string) error {
	here, err := state.Now()
	if err != nil {
		return err
	}
	return state.Write(n.path, state.Seal(here.Head(comment)+text, comment))
}

// Remove deletes the note. It succeeds if the note does not exist.
func (n Note) Remove() error { return state.Remove(n.path) }

// All returns the texts of all notes of a kind in stateDir, by the names of their files. The name
// of a file is the id of the resource, with special characters escaped.
func All(stateDir, kind string) (map[string]string, error) {
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

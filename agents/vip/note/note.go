// Package note keeps texts of vip resources in files that count for one boot.
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

// Note is a text that one resource keeps until the next boot, in the network namespace
// where it was written.
type Note struct{ path string }

// The kinds of notes.
const (
	// Loopback is the addresses that start removed from lo and stop must put back.
	Loopback = "loopback"
	// Proof is what neighbours replied after the last take-over.
	Proof = "proof"
	// Announced is when the address was last announced, as time since boot.
	Announced = "announced"
)

// Of returns the note of a kind of a resource, below a state directory. Nothing is
// created before the first Write.
func Of(stateDir, kind, id string) Note {
	return Note{filepath.Join(stateDir, "vip", kind, state.FileName(id))}
}

// comment begins the lines of the file that are not part of the text.
const comment = "# "

// Read returns the text, empty without a note of this boot and network namespace. The
// error is state.ErrDamaged if the file was changed or cannot be used.
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

// origin returns where a note was written, and the text after that.
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

// Write replaces the text. After a crash either the old or the new one is there.
func (n Note) Write(text string) error {
	here, err := state.Now()
	if err != nil {
		return err
	}
	return state.Write(n.path, state.Seal(here.Head(comment)+text, comment))
}

// Remove deletes the note. It succeeds if the note does not exist.
func (n Note) Remove() error { return state.Remove(n.path) }

// All returns all texts of a kind below a state directory, by the names of their files.
// The name is the id of the resource, with strange characters escaped.
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

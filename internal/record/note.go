package record

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
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

// Read returns the text, empty if there is none that counts.
func (n Note) Read() (string, error) {
	text, err := read(n.path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	owner, err := hereAndNow()
	first, rest, _ := strings.Cut(text, "\n")
	if err != nil || first != "# owner "+owner {
		return "", err
	}
	return rest, nil
}

// Write replaces the text. After a crash either the old or the new one is there.
func (n Note) Write(text string) error {
	owner, err := hereAndNow()
	if err != nil {
		return err
	}
	dir, name := filepath.Split(n.path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	temporary := filepath.Join(dir, "."+name)
	if err := os.WriteFile(temporary, []byte("# owner "+owner+"\n"+text), 0o644); err != nil {
		_ = os.Remove(temporary)
		return err
	}
	return os.Rename(temporary, n.path)
}

// Remove deletes the text. That there is none is success.
func (n Note) Remove() error {
	if err := os.Remove(n.path); err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) {
		return err
	}
	return nil
}

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

// hereAndNow is this boot and the network namespace of the calling thread.
func hereAndNow() (string, error) {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("boot id: %w", err)
	}
	netns, err := os.Stat("/proc/thread-self/ns/net")
	if err != nil {
		return "", fmt.Errorf("network namespace: %w", err)
	}
	return strings.TrimSpace(string(boot)) + " " + strconv.FormatUint(netns.Sys().(*syscall.Stat_t).Ino, 10), nil
}

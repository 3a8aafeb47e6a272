package state

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Dir returns the state directory of a network namespace. It is root for the main namespace, and a
// separate directory below root for every other namespace. If an earlier version wrote files of
// another namespace into root, this namespace uses root while these files exist, until it has its
// own directory.
func (h Here) Dir(root string) string {
	own := filepath.Join(root, h.name())
	if h.Main {
		return root
	}
	if _, err := os.Lstat(own); errors.Is(err, fs.ErrNotExist) && h.usedBefore(root) {
		return root
	}
	return own
}

// usedBefore reports whether root has a file that a process in this network namespace wrote.
func (h Here) usedBefore(root string) bool {
	if _, err := os.Lstat(filepath.Join(root, "realserver-"+h.Inode)); err == nil {
		return true
	}
	for _, pattern := range []string{"ipvs/*", "vip/*/*"} {
		files, _ := filepath.Glob(filepath.Join(root, pattern))
		for _, file := range files {
			text, err := Read(file)
			if err == nil && strings.Contains("\n"+text, "\n# owner "+h.Owner()+"\n") {
				return true
			}
		}
	}
	return false
}

// TakeIn moves the files of the state directory of an earlier version into the present directory.
// It replaces the old directory by a link, so that a running daemon still finds its files. TakeIn
// stops at the first file that exists in both directories, and returns an error with its name. Of a
// lock file, it removes the old one and continues.
func TakeIn(old, dir string) error {
	info, err := os.Lstat(old)
	if err != nil || !info.IsDir() {
		return nil // the old directory does not exist, or TakeIn has already replaced it by a link
	}
	if err := Trust(old); err != nil {
		return fmt.Errorf("state of an earlier version: %w", err)
	}
	if err := move(old, dir); err != nil {
		return fmt.Errorf("state of an earlier version in %s is not taken in; stop what uses it, then remove it: %w", old, err)
	}
	return os.Symlink(dir, old)
}

// move moves the files of a directory into another directory and removes the old directory.
func move(old, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	entries, err := os.ReadDir(old)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		from, to := filepath.Join(old, entry.Name()), filepath.Join(dir, entry.Name())
		_, err := os.Lstat(to)
		switch {
		case entry.IsDir():
			err = move(from, to)
		case errors.Is(err, fs.ErrNotExist):
			err = os.Rename(from, to)
		case err == nil && lock(entry.Name()):
			err = os.Remove(from)
		case err == nil:
			err = fmt.Errorf("%s: %w", to, fs.ErrExist)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return os.Remove(old)
}

// lock reports whether the file with this name is a lock file, which has no content to keep.
func lock(name string) bool {
	return strings.HasPrefix(name, "lock-") || strings.HasSuffix(name, ".lock")
}

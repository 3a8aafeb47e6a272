// Package statetest makes state files for tests: files in many conditions that a stop can find, and
// files of earlier versions.
package statetest

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// Condition is a condition of a state file, for example absent, damaged or read-only.
type Condition struct {
	Name  string
	Root  bool // Root says that the condition needs root, and a directory that Dir has mounted.
	Apply func(t testing.TB, dir, file string)
}

// Dir makes a state directory. If this process can mount a file system, the directory is a separate
// file system. Only root can mount. If this process cannot mount, Dir skips a test that sets
// needsMount.
func Dir(t testing.TB, needsMount bool) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("state", dir, "tmpfs", 0, "mode=755,size=256k"); err != nil {
		if needsMount {
			t.Skip("needs root, to mount a file system")
		}
		return dir
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// Absent is the name of the condition where the state file does not exist.
const Absent = "absent"

// Conditions returns all conditions.
func Conditions() []Condition {
	list := []Condition{
		{"as it was", false, func(testing.TB, string, string) {}},
		{Absent, false, remove},
		{"damaged", false, edit(func(text []byte) []byte { return text[:max(0, len(text)-3)] })},
		{"changed", false, edit(func(text []byte) []byte { return bytes.ReplaceAll(text, []byte("1"), []byte("2")) })},
		{"empty", false, edit(func([]byte) []byte { return nil })},
		{"directory", false, replace(func(path string) error { return os.MkdirAll(filepath.Join(path, "x"), 0o755) })},
		{"link", false, replace(func(path string) error { return os.Symlink("/etc/hostname", path) })},
		{"link loop", false, replace(func(path string) error { return os.Symlink(filepath.Base(path), path) })},
		{"pipe", false, replace(func(path string) error { return syscall.Mkfifo(path, 0o600) })},
		{"socket", false, replace(func(path string) error { return syscall.Mknod(path, syscall.S_IFSOCK|0o600, 0) })},
		{"others may write", false, func(t testing.TB, _, file string) { must(t, os.Chmod(file, 0o666)) }},
		{"others may write to its directory", false, func(t testing.TB, dir, _ string) { must(t, os.Chmod(dir, 0o777)) }},
		{"of another user", true, func(t testing.TB, _, file string) { must(t, os.Chown(file, 65534, 65534)) }},
		{"in a directory of another user", true, func(t testing.TB, dir, _ string) { must(t, os.Chown(dir, 65534, 65534)) }},
		{"full", true, func(t testing.TB, dir, _ string) { fill(t, dir) }},
	}
	for _, c := range list {
		if c.Name != "full" {
			list = append(list, Condition{c.Name + ", read-only", true, func(t testing.TB, dir, file string) {
				c.Apply(t, dir, file)
				readOnly(t, dir)
			}})
		}
	}
	return list
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// readOnly makes the file system that Dir mounted read-only.
func readOnly(t testing.TB, dir string) {
	err := unix.Mount("state", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, "")
	if errors.Is(err, unix.EINVAL) { // EINVAL: dir is not a mount point, but a directory in the mounted file system.
		err = unix.Mount("state", filepath.Dir(dir), "", unix.MS_REMOUNT|unix.MS_RDONLY, "")
	}
	must(t, err)
}

func remove(t testing.TB, _, file string) { must(t, os.Remove(file)) }

func edit(change func([]byte) []byte) func(testing.TB, string, string) {
	return func(t testing.TB, _, file string) {
		text, err := os.ReadFile(file)
		must(t, err)
		must(t, os.WriteFile(file, change(text), 0o644))
	}
}

func replace(by func(path string) error) func(testing.TB, string, string) {
	return func(t testing.TB, _, file string) {
		must(t, os.Remove(file))
		must(t, by(file))
	}
}

func fill(t testing.TB, dir string) {
	file, err := os.Create(filepath.Join(dir, "fill"))
	must(t, err)
	defer file.Close()
	for err == nil {
		_, err = file.Write(make([]byte, 4096))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
}

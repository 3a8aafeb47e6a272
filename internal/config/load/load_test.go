package load

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lvs-agents/internal/disk"
)

func TestRead(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "conf", "web.cf")
	if err := errors.Join(os.Mkdir(filepath.Dir(path), 0o755), os.WriteFile(path, []byte("x"), 0o644)); err != nil {
		t.Fatal(err)
	}
	dirs := []string{dir, filepath.Dir(path)}
	for _, name := range []string{"web.cf", path} {
		if found, text, err := Read(t.Context(), new(disk.Reader), name, dirs...); found != path || string(text) != "x" || err != nil {
			t.Errorf("%s: %q %q %v", name, found, text, err)
		}
	}
	for name, want := range map[string]string{
		"no.cf":  "no.cf: file does not exist in " + strings.Join(dirs, ", "),
		"/no.cf": "/no.cf: file does not exist",
		"conf":   filepath.Join(dir, "conf") + ": not a regular file",
	} {
		_, _, err := Read(t.Context(), new(disk.Reader), name, dirs...)
		if err == nil || err.Error() != want || name != "conf" && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
}

// TestFile checks the reason why a resource cannot use a configuration file.
func TestFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "web.cf")
	for text, want := range map[string]string{
		"virtual=192.0.2.10:80\n\treal=192.0.2.21 gate\n": "",
		"virtual=192.0.2.10:80\nx=1\n":                    path + `:2:1: unknown directive "x"`,
		"# nothing\n":                                     path + " has no virtual service; add virtual=ADDRESS:PORT",
	} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		file, err := File(t.Context(), new(disk.Reader), "web.cf", dir)
		if err != nil || file.Path != path || string(file.Text) != text {
			t.Fatalf("%+v %v", file, err)
		}
		got := ""
		if err := file.Unusable(); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	if file, err := File(t.Context(), new(disk.Reader), "no.cf", dir); !errors.Is(err, fs.ErrNotExist) || file.Config != nil {
		t.Errorf("%+v %v", file, err)
	}
}

package config

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"lvs-agents/internal/disk"
)

// Dir is where the agents and lvsctl look up a relative file name.
const Dir = "/etc/ha.d"

// Dirs is where ldirectord and our agents look up a relative file name.
func Dirs() []string { return []string{Dir, filepath.Join(Dir, "conf")} }

// Read reads a configuration file and returns the path at which it was found. A
// relative name is looked up in dirs, in order. It gives up on a file system that
// does not answer.
func Read(ctx context.Context, r *disk.Reader, name string, dirs ...string) (path string, text []byte, err error) {
	if filepath.IsAbs(name) {
		dirs = []string{""}
	}
	for _, dir := range dirs {
		path := filepath.Join(dir, name)
		text, err := r.Read(ctx, path)
		if !errors.Is(err, fs.ErrNotExist) {
			return path, text, err
		}
	}
	err = fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	if !filepath.IsAbs(name) {
		err = fmt.Errorf("%w in %s", err, strings.Join(dirs, ", "))
	}
	return "", nil, err
}

package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Dir is where the agents and lvsctl look up a relative file name.
const Dir = "/etc/ha.d"

// maxFile bounds what Read takes: 10,000 real servers are half a megabyte.
const maxFile = 16 << 20

// Dirs is where ldirectord and our agents look up a relative file name.
func Dirs() []string { return []string{Dir, filepath.Join(Dir, "conf")} }

// Read reads a configuration file and returns the path at which it was found. A
// relative name is looked up in dirs, in order.
func Read(name string, dirs ...string) (path string, text []byte, err error) {
	if filepath.IsAbs(name) {
		dirs = []string{""}
	}
	for _, dir := range dirs {
		path := filepath.Join(dir, name)
		text, err := read(path)
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

func read(path string) ([]byte, error) {
	// Opening a pipe that nobody writes would wait for ever.
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(err, fmt.Errorf("%s: not a regular file", path))
	}
	text, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = fmt.Errorf("%s: longer than %d MiB; this is not a configuration file", path, maxFile>>20)
	}
	return text, err
}

// Package load finds, reads and parses a configuration file.
package load

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"lvs-agents/internal/config"
	"lvs-agents/internal/config/ldirectord"
	"lvs-agents/internal/disk"
)

// Result is a parsed file.
type Result struct {
	Path     string // Path is where the file was found.
	Text     []byte
	Config   *config.Config // Config is nil if one of the problems is an error.
	Problems []config.Problem
}

// Digest returns a digest of the text of a configuration file. Different texts have different
// digests.
func Digest(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}

// File loads a configuration file, which it looks up as Read does. It returns an error if the
// file cannot be read. Mistakes in the text are among the problems of the result.
func File(ctx context.Context, r *disk.Reader, name string, dirs ...string) (Result, error) {
	path, text, err := Read(ctx, r, name, dirs...)
	if err != nil {
		return Result{Path: path}, err
	}
	return Parse(path, text), nil
}

// Parse parses the text of a configuration file. It does not read the file at path.
func Parse(path string, text []byte) Result {
	cfg, problems := ldirectord.Parse(path, text)
	return Result{Path: path, Text: text, Config: cfg, Problems: problems}
}

// Unusable returns why a resource cannot use the file: errors, or no virtual service.
func (r Result) Unusable() error {
	if err := config.Err(r.Problems); err != nil {
		return err
	}
	if len(r.Config.Services) == 0 {
		return fmt.Errorf("%s has no virtual service; add virtual=ADDRESS:PORT", r.Path)
	}
	return nil
}

// Dir is the first directory where agents and lvsctl look up a relative file name.
const Dir = "/etc/ha.d"

// Dirs returns the directories where ldirectord and our agents look up a relative file name.
func Dirs() []string { return []string{Dir, filepath.Join(Dir, "conf")} }

// Read reads a configuration file and returns its path. It looks up a relative name in dirs, in
// order. It returns an error if the file system does not respond in time.
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

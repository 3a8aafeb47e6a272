// Package execvp starts the programs of administrators as execvp(3) does.
package execvp

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// shell runs what the kernel cannot execute: a script without #! in its first line.
const shell = "/bin/sh"

// Start starts the command that build makes of a program and its arguments, and
// returns it; start is (*exec.Cmd).Start or calls that. A file that the kernel
// cannot execute goes to /bin/sh, with a second command of build. An ELF file, which
// is then one of another machine, does not.
func Start(argv []string, build func(argv []string) *exec.Cmd, start func(*exec.Cmd) error) (*exec.Cmd, error) {
	cmd := build(argv)
	reach(cmd.Dir, cmd.Path)
	err := start(cmd)
	if !errors.Is(err, syscall.ENOEXEC) || isELF(cmd.Dir, cmd.Path) {
		return cmd, err
	}
	cmd = build(append([]string{shell, cmd.Path}, argv[1:]...))
	return cmd, start(cmd)
}

// reach reads the beginning of a program and of what interprets it, as execve will.
// In a file system that hangs only the caller waits here; execve keeps a processor
// of Go's runtime (vfork in syscall/exec_linux.go), and then the next garbage
// collection stops the whole process.
func reach(dir, path string) {
	const depth = 5 // of interpreters, fs/exec.c: exec_binprm
	for range depth + 1 {
		if path = interpreter(head(dir, path)); path == "" {
			return
		}
	}
}

// interpreter is the program that a script names; empty for all other files.
func interpreter(head []byte) string {
	line, script := strings.CutPrefix(string(head), "#!")
	line, _, _ = strings.Cut(line, "\n")
	words := strings.Fields(line)
	if !script || len(words) == 0 {
		return ""
	}
	return words[0]
}

func isELF(dir, path string) bool { return bytes.HasPrefix(head(dir, path), []byte("\x7fELF")) }

// head is what execve reads of a file; nil where that tells what is wrong.
func head(dir, path string) []byte {
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() { // to open a pipe could take for ever
		return nil
	}
	file, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer file.Close()
	text := make([]byte, 256) // BINPRM_BUF_SIZE
	n, _ := file.Read(text)
	return text[:n]
}

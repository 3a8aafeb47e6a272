package program

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// shell runs a file that the kernel cannot execute: a script without #! in its first line.
const shell = "/bin/sh"

// execvp starts the command that build makes of a program and its arguments, and returns it; start
// is (*exec.Cmd).Start or calls that. A file that the kernel cannot execute goes to /bin/sh, with a
// second command of build. An ELF file does not: it is for another machine.
func execvp(argv []string, build func(argv []string) *exec.Cmd, start func(*exec.Cmd) error) (*exec.Cmd, error) {
	cmd := build(argv)
	prefetch(cmd.Dir, cmd.Path)
	err := start(cmd)
	if !errors.Is(err, syscall.ENOEXEC) || isELF(cmd.Dir, cmd.Path) {
		return cmd, err
	}
	cmd = build(append([]string{shell, cmd.Path}, argv[1:]...))
	return cmd, start(cmd)
}

// prefetch reads the beginning of a program and of its interpreters, as execve will do. If a file
// system hangs, only the caller waits here. A hanging execve would keep a processor of Go's runtime
// (vfork in syscall/exec_linux.go), and then the next garbage collection stops the whole process.
func prefetch(dir, path string) {
	const depth = 5 // of interpreters, fs/exec.c: exec_binprm
	for range depth + 1 {
		if path = interpreter(beginning(dir, path)); path == "" {
			return
		}
	}
}

// interpreter returns the program that a script names; empty for all other files.
func interpreter(text []byte) string {
	line, script := strings.CutPrefix(string(text), "#!")
	line, _, _ = strings.Cut(line, "\n")
	words := strings.Fields(line)
	if !script || len(words) == 0 {
		return ""
	}
	return words[0]
}

func isELF(dir, path string) bool { return bytes.HasPrefix(beginning(dir, path), []byte("\x7fELF")) }

// beginning returns the part of a file that execve reads. It is nil if execve will report the
// error.
func beginning(dir, path string) []byte {
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() { // opening a pipe could take forever
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

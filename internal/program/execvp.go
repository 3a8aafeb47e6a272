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

// shell is the program that runs a file whose format the kernel does not know, such as a script
// without #! in its first line.
const shell = "/bin/sh"

// execvp starts a program with its arguments and returns the command that it started. build makes
// the command. start starts it, and is (*exec.Cmd).Start or a function that calls this method. If
// the kernel does not know the format of the file (ENOEXEC), execvp starts a second command from
// build, which runs the file with /bin/sh. It does not do so for an ELF file, because sh cannot run
// machine code.
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

// prefetch reads the beginning of a program and of the interpreters that scripts name, as execve
// will do. If a file system hangs, only the calling goroutine waits here. An execve that hangs
// would keep a processor of Go's runtime (vfork in syscall/exec_linux.go). Then the next garbage
// collection would stop the whole process.
func prefetch(dir, path string) {
	// depth is how many interpreters in a row the kernel accepts (exec_binprm in fs/exec.c).
	const depth = 5
	for range depth + 1 {
		if path = interpreter(beginning(dir, path)); path == "" {
			return
		}
	}
}

// interpreter returns the program that a script names in its first line. For other files, it
// returns an empty string.
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

// beginning returns the bytes of a file that execve reads. It returns nil if the file is not a
// regular file or cannot be read, because execve will report the error.
func beginning(dir, path string) []byte {
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	// Do not open a pipe: the open would wait for a writer.
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
		return nil
	}
	file, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer file.Close()
	text := make([]byte, 256) // The kernel also reads 256 bytes (BINPRM_BUF_SIZE).
	n, _ := file.Read(text)
	return text[:n]
}

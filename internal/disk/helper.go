package disk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"syscall"
	"time"
)

// helperVerb is the argument of a helper before the path of the file.
const helperVerb = "--read-file"

// SelfHelper returns the value of Reader.Helper for a program that calls Help at its start.
func SelfHelper() []string { return []string{"/proc/self/exe", helperVerb} }

// Help runs the helper if args are the arguments of a helper. isHelper reports whether they are.
// code is the exit code of the helper.
func Help(args []string, out io.Writer) (code int, isHelper bool) {
	if len(args) != 3 || args[1] != helperVerb {
		return 0, false
	}
	if printFile(out, args[2]) != nil {
		return 1, true
	}
	return 0, true
}

// A helper first prints one of these bytes. Then it prints the text of the file or the text of an
// error. isNotExist means that the file does not exist.
const (
	isText     = '+'
	isError    = '-'
	isNotExist = '?'
)

// printFile reads a file, and prints its text or the error in the format of a helper.
func printFile(out io.Writer, path string) error {
	text, err := read(path)
	kind := isText
	switch {
	case errors.Is(err, fs.ErrNotExist):
		kind, text = isNotExist, []byte(err.Error())
	case err != nil:
		kind, text = isError, []byte(err.Error())
	}
	_, err = out.Write(append([]byte{byte(kind)}, text...))
	return err
}

// helped reads a file with a helper process.
func (r *Reader) helped(ctx context.Context, path string) ([]byte, error) {
	if err := r.refuse(path); err != nil {
		return nil, err
	}
	limited, cancel := bounded(ctx)
	defer cancel()
	h, err := r.start(path)
	if err != nil {
		return nil, fmt.Errorf("%s: reading it in another process: %w", path, err)
	}
	defer h.output.Close()
	defer context.AfterFunc(limited, func() { _ = h.output.SetReadDeadline(time.Unix(1, 0)) })()
	text, err := io.ReadAll(h.output)
	switch {
	case limited.Err() != nil:
		_ = h.process.Kill() // A killed process ends only when its system call returns.
		return nil, r.giveUp(ctx, path, h.ended)
	case err == nil && len(text) == 0:
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, fmt.Errorf("%s: reading it in another process: %w", path, err)
	}
	switch said := string(text[1:]); text[0] {
	case isNotExist:
		return nil, fmt.Errorf("%s: %w", path, fs.ErrNotExist)
	case isError:
		return nil, errors.New(said)
	}
	return text[1:], nil
}

// helper is a process that reads a file.
type helper struct {
	process *os.Process
	output  *os.File
	ended   <-chan struct{}
}

// start starts a helper in a new session. The helper inherits only the files that start opens for
// it, so that no other process waits until the helper closes a file.
func (r *Reader) start(path string) (helper, error) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return helper{}, err
	}
	defer null.Close()
	output, input, err := os.Pipe()
	if err != nil {
		return helper{}, err
	}
	defer input.Close()
	process, err := os.StartProcess(r.Helper[0], append(slices.Clone(r.Helper), path), &os.ProcAttr{
		Env: []string{}, Files: []*os.File{null, input, null}, Sys: &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		_ = output.Close()
		return helper{}, err
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		// The output of the helper has the result, so its exit status is ignored.
		_, _ = process.Wait()
	}()
	return helper{process, output, ended}, nil
}

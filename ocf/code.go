package ocf

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"

	"lvs-agents/metadata"
)

// Code is an exit code of the OCF Resource Agent API 1.1.
type Code int

// The exit codes that agents of this package give.
const (
	Success       Code = 0
	Generic       Code = 1
	Args          Code = 2 // Args: the configuration is not valid on this node.
	Unimplemented Code = 3
	Permission    Code = 4
	// Installed: this node lacks a program, a file, or a part of the kernel that the resource
	// needs.
	Installed    Code = 5
	Configured   Code = 6 // Configured: the configuration is not valid on any node.
	NotRunning   Code = 7
	DegradedCode Code = 190
)

// ErrNotRunning is the error of ReloadAgent if the resource is not running.
var ErrNotRunning = errors.New("the resource is not running")

// codedError is an error that determines the exit code.
type codedError struct {
	code Code
	err  error
}

func (e *codedError) Error() string { return e.err.Error() }
func (e *codedError) Unwrap() error { return e.err }

func coded(code Code, err error) error { return &codedError{code, err} }

// WrongEverywhere marks parameters that no node can use: exit code 6. The cluster then stops the
// resource on all nodes, so use it only for errors that every node would report.
func WrongEverywhere(err error) error { return coded(Configured, err) }

// WrongHere marks a configuration that is not valid on this node: exit code 2.
// The cluster tries another node.
func WrongHere(err error) error { return coded(Args, err) }

// Lacking marks an error because this node lacks something: exit code 5. An error that is
// errors.ErrUnsupported needs no mark.
func Lacking(err error) error { return coded(Installed, err) }

// codeOf returns the exit code for an error of an action.
func codeOf(err error) Code {
	var own *codedError
	var param *metadata.ParamError
	switch {
	case err == nil:
		return Success
	case errors.As(err, &own):
		return own.code
	case errors.As(err, &param):
		return Configured
	case errors.Is(err, ErrNotRunning):
		return NotRunning
	case errors.Is(err, fs.ErrPermission):
		return Permission
	case isNotInstalled(err):
		return Installed
	}
	return Generic
}

// isNotInstalled reports whether an error means that this node lacks a program, a file or a part of
// the kernel. This is so if the error is errors.ErrUnsupported. The numbers ENOSYS and EOPNOTSUPP
// are also errors.ErrUnsupported, but they mean only that a system call failed.
func isNotInstalled(err error) bool {
	return errors.Is(err, errors.ErrUnsupported) && !errors.As(err, new(syscall.Errno))
}

// fail logs an error, writes the exit reason and returns the code. It does not log the errors of
// validate-all.
func (s *session) fail(err error) Code {
	code := codeOf(err)
	if s.log != nil && s.action != "validate-all" {
		s.log.Error(err)
	}
	s.reason(err.Error())
	return code
}

// reason writes the line that crm_mon, crm and pcs show. Pacemaker uses the last line with the
// prefix. Pacemaker 2.1.5 cuts it after 128 bytes.
func (s *session) reason(text string) {
	fmt.Fprintf(s.proc.Stderr, "%s%s\n", s.env.reasonPrefix(), oneLine(text))
}

// longest is how many bytes oneLine keeps of a text.
const longest = 2000

// oneLine returns a text as one line, for logs and exit reasons. It cuts the end of a long text.
func oneLine(text string) string {
	if len(text) > longest {
		text = strings.ToValidUTF8(text[:longest], "") + "…"
	}
	return strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
}

func paramErrors(errs []*metadata.ParamError) error {
	joined := make([]error, 0, len(errs))
	for _, err := range errs {
		joined = append(joined, err)
	}
	return errors.Join(joined...)
}

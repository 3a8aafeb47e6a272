package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// readyFD is the file descriptor on which the child of Spawn reports that it is ready, or why it is
// not.
const readyFD = 3

// readyText is the text that a child writes when it is ready. Any other text is an error message.
const readyText = "ready\n"

// Spawn starts a program in a new session and waits until the program is ready. argv is the name of
// the program and its arguments. The program must call Ready or Fail. If the program is not ready
// when it exits or when ctx ends, Spawn kills it and returns an error. Of the files that this
// process opened, the program gets none.
func Spawn(ctx context.Context, path string, argv, environ []string) error {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	reader, writer, err := os.Pipe()
	if err != nil {
		return err
	}
	defer reader.Close()
	child, err := os.StartProcess(path, argv, &os.ProcAttr{
		Dir: "/", Env: environ, Files: []*os.File{null, null, null, writer},
		Sys: &syscall.SysProcAttr{Setsid: true},
	})
	_ = writer.Close()
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { _ = reader.SetReadDeadline(time.Unix(1, 0)) })()
	text, err := io.ReadAll(io.LimitReader(reader, 4096))
	switch {
	case string(text) == readyText:
		return child.Release()
	case ctx.Err() != nil:
		err = fmt.Errorf("%s was not ready in time", filepath.Base(argv[0]))
	case len(text) > 0:
		err = errors.New(strings.TrimSpace(string(text)))
	case err == nil:
		err = fmt.Errorf("%s exited without a message", filepath.Base(argv[0]))
	}
	_ = child.Kill()
	_, _ = child.Wait()
	return err
}

// Ready tells the process that called Spawn that this daemon is ready.
func Ready() { reply(readyText) }

// Fail tells the process that called Spawn why this daemon ends.
func Fail(err error) { reply(err.Error() + "\n") }

// Awaited reports whether the process that called Spawn still waits. A daemon calls Awaited after
// pidfile.Acquire, and must exit if the result is false. A stop action that ran before
// pidfile.Acquire did not find this daemon, and can have succeeded already.
func Awaited() bool {
	pipe := []unix.PollFd{{Fd: readyFD}}
	_, err := unix.Poll(pipe, 0)
	return err != nil || pipe[0].Revents&(unix.POLLERR|unix.POLLNVAL) == 0
}

func reply(text string) {
	pipe := os.NewFile(readyFD, "ready")
	_, _ = pipe.WriteString(text) // A write error is normal: the process that called Spawn can have exited.
	_ = pipe.Close()
}

// Beside returns the path of the file called name in the directory of program. If program is a
// symbolic link, the directory is the directory of the link's target. The file need not exist.
func Beside(program, name string) string {
	if path, err := filepath.EvalSymlinks(program); err == nil {
		program = path
	}
	return filepath.Join(filepath.Dir(program), name)
}

package program

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lvs-agents/internal/kernel/kerneltest"
)

// TestProgramWhoseFileSystemHangs checks that a file system that hangs delays only the program
// whose file it has. The test uses fanotify, which blocks every process that opens the program or
// its interpreter.
func TestProgramWhoseFileSystemHangs(t *testing.T) {
	if path := os.Getenv("HOLD"); path != "" {
		hold(t, path)
		return
	}
	interpreter := filepath.Join(t.TempDir(), "interpreter")
	text, err := os.ReadFile("/bin/true")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(interpreter, text, 0o755); err != nil {
		t.Fatal(err)
	}
	of := filepath.Join(t.TempDir(), "of")
	if err := os.WriteFile(of, []byte("#!"+interpreter+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, held := range map[string][2]string{"the program": {of, of}, "its interpreter": {of, interpreter}} {
		t.Run(name, func(t *testing.T) { hanging(t, held[0], held[1]) })
	}
}

// hanging runs a program while fanotify blocks a file that the program needs.
func hanging(t *testing.T, path, held string) {
	programs := newSet(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	release := holding(ctx, t, held)
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, programs, path) }()
	release.await("opened")
	began := time.Now()
	runtime.GC()
	err := run(ctx, programs, "/bin/true")
	if took := time.Since(began); err != nil || took > patient/2 {
		t.Errorf("another check: %v after %v", err, took)
	}
	select {
	case err := <-ended:
		t.Fatalf("it ended: %v", err)
	default:
	}
	release.let()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// patient is how long the holder blocks each open of the file at most. Without this limit, the test
// would not end if Go's runtime stops.
const patient = 20 * time.Second

// holder is a process that the test starts. It blocks every process that opens a certain file.
type holder struct {
	t     *testing.T
	lines *bufio.Scanner
	let   func() // let ends the wait of the blocked open, so that open returns.
}

func holding(ctx context.Context, t *testing.T, path string) holder {
	t.Helper()
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestProgramWhoseFileSystemHangs$", "-test.v")
	cmd.Env = append(os.Environ(), "HOLD="+path)
	in, errIn := cmd.StdinPipe()
	out, errOut := cmd.StdoutPipe()
	if err := errors.Join(errIn, errOut, cmd.Start()); err != nil {
		t.Fatal(err)
	}
	h := holder{t, bufio.NewScanner(out), func() { _ = in.Close() }}
	t.Cleanup(func() {
		h.let()
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // The error of Wait says that the process was killed, as the test expects.
	})
	h.await("ready")
	return h
}

// await reads the output of the holder until the holder prints a word.
func (h holder) await(word string) {
	h.t.Helper()
	for h.lines.Scan() {
		switch h.lines.Text() {
		case word:
			return
		case "missing":
			kerneltest.Need(h.t, "fanotify with permissions, and root")
		}
	}
	h.t.Fatalf("the holder has not printed %q", word)
}

// hold is the main function of the holder process. It unblocks the file when its input is closed,
// or after the time patient.
func hold(t *testing.T, path string) {
	fd, err := unix.FanotifyInit(unix.FAN_CLASS_CONTENT|unix.FAN_CLOEXEC, unix.O_RDONLY)
	if err == nil {
		err = unix.FanotifyMark(fd, unix.FAN_MARK_ADD, unix.FAN_OPEN_PERM, unix.AT_FDCWD, path)
	}
	if err != nil {
		fmt.Println("missing")
		return
	}
	free := make(chan struct{})
	go func() {
		defer close(free)
		_, _ = os.Stdin.Read(make([]byte, 1)) // The read returns when the input is closed.
	}()
	fmt.Println("ready")
	for event := make([]byte, 24); ; { // struct fanotify_event_metadata has 24 bytes.
		if _, err := unix.Read(fd, event); err != nil {
			t.Fatal(err)
		}
		fmt.Println("opened")
		select {
		case <-free:
		case <-time.After(patient):
		}
		// struct fanotify_response has a descriptor and a decision.
		answer := append(event[16:20:20], 0, 0, 0, 0)
		binary.NativeEndian.PutUint32(answer[4:], unix.FAN_ALLOW)
		if _, err := unix.Write(fd, answer); err != nil {
			t.Fatal(err)
		}
	}
}

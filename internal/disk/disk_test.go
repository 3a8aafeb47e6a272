package disk

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

// TestSilentFileSystem checks that a read times out, and that the Reader starts no other read
// before the first read ends. It also checks which path the error blames.
func TestSilentFileSystem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r Reader
		answer := make(chan struct{})
		var begun atomic.Int32
		ask := func(ctx context.Context) error {
			_, err := within(ctx, &r, "/dead/web.cf", func() (int, error) { begun.Add(1); <-answer; return 0, nil })
			return err
		}
		const want = "/dead/web.cf: the file system does not answer; repair or unmount it"
		near, cancel := context.WithTimeout(t.Context(), 6*time.Second)
		defer cancel()
		began := time.Now()
		for range 2 {
			if err := ask(near); !errors.Is(err, ErrSilent) || err.Error() != want {
				t.Errorf("got %v, want %s", err, want)
			}
		}
		const other = "/etc/web.cf: not read, because the read of /dead/web.cf has not ended: the file system does not answer; repair or unmount it"
		if _, err := r.Read(near, "/etc/web.cf"); !errors.Is(err, ErrSilent) || err.Error() != other {
			t.Errorf("got %v, want %s", err, other)
		}
		if took := time.Since(began); took != 3*time.Second || begun.Load() != 1 {
			t.Errorf("took %v of the 6 s that the caller has, %d reads", took, begun.Load())
		}
		close(answer)
		synctest.Wait()
		if err := ask(t.Context()); err != nil {
			t.Errorf("after the answer: %v", err)
		}
	})
}

// TestWithoutDeadline checks that a read times out after readTimeout if its context has no
// deadline. If the caller cancels the context, the error does not blame the file system.
func TestWithoutDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answer := make(chan struct{})
		defer close(answer)
		hang := func() (int, error) { <-answer; return 0, nil }
		began := time.Now()
		if _, err := within(t.Context(), new(Reader), "x", hang); !errors.Is(err, ErrSilent) || time.Since(began) != readTimeout {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		if _, err := within(ctx, new(Reader), "x", hang); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}

// TestMain runs the helper if a test has started this program as the helper. Otherwise, it runs the
// tests.
func TestMain(m *testing.M) {
	if code, isHelper := Help(os.Args, os.Stdout); isHelper {
		os.Exit(code)
	}
	os.Exit(m.Run())
}

// TestHelper checks the text and the errors that a helper returns, and the error of a program that
// prints nothing. It also checks that the Reader kills a helper that does not reply.
func TestHelper(t *testing.T) {
	dir := t.TempDir()
	good := filepath.Join(dir, "good")
	if err := os.WriteFile(good, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := Reader{Helper: SelfHelper()}
	if text, err := r.Read(t.Context(), good); err != nil || string(text) != "x" {
		t.Errorf("%s, %v", text, err)
	}
	if _, err := r.Read(t.Context(), dir+"/absent"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("absent: %v", err)
	}
	if _, err := r.Read(t.Context(), dir); err == nil || err.Error() != dir+": not a regular file" {
		t.Errorf("a directory: %v", err)
	}
	mute := Reader{Helper: []string{"/bin/true"}}
	if _, err := mute.Read(t.Context(), good); err == nil || err.Error() != good+": reading it in another process: unexpected EOF" {
		t.Errorf("a helper without a word: %v", err)
	}
	r.Helper = []string{"/bin/sh", "-c", "exec sleep 60", "sh"}
	ctx, cancel := context.WithTimeout(t.Context(), 400*time.Millisecond)
	defer cancel()
	if _, err := r.Read(ctx, good); !errors.Is(err, ErrSilent) {
		t.Errorf("a helper that waits: %v", err)
	}
	for limit := time.Now().Add(time.Minute); r.silent.Load() > 0; <-time.After(time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatal("the helper was not killed")
		}
	}
}

func TestRead(t *testing.T) {
	dir := t.TempDir()
	good, pipe, large := filepath.Join(dir, "good"), filepath.Join(dir, "pipe"), filepath.Join(dir, "large")
	if err := errors.Join(os.WriteFile(good, []byte("x"), 0o600), unix.Mkfifo(pipe, 0o600), os.WriteFile(large, bytes.Repeat([]byte("x"), maxFile+1), 0o600)); err != nil {
		t.Fatal(err)
	}
	var r Reader
	if text, err := r.Read(t.Context(), good); err != nil || string(text) != "x" {
		t.Errorf("%s, %v", text, err)
	}
	for path, want := range map[string]string{
		pipe:            pipe + ": not a regular file",
		large:           large + ": longer than 16 MiB; this is not a configuration file",
		dir + "/absent": "open " + dir + "/absent: no such file or directory",
	} {
		if _, err := r.Read(t.Context(), path); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	if names, err := r.Names(t.Context(), dir); err != nil || len(names) != 3 {
		t.Errorf("%q, %v", names, err)
	}
	if info, err := r.Stat(t.Context(), good); err != nil || info.Size() != 1 {
		t.Errorf("%v, %v", info, err)
	}
}

// TestWhatOnlyLooksLikeAFile checks that Read refuses devices, pipes, directories, huge files and
// files of the kernel. Read must refuse them quickly.
func TestWhatOnlyLooksLikeAFile(t *testing.T) {
	dir := t.TempDir()
	pipe, large, link := filepath.Join(dir, "pipe"), filepath.Join(dir, "large"), filepath.Join(dir, "link")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.WriteFile(large, nil, 0o600), os.Truncate(large, 1<<40)); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/zero", link); err != nil {
		t.Fatal(err)
	}
	const kernel = ": a file of the kernel; this is not a configuration file"
	for path, want := range map[string]string{
		"/dev/zero": "/dev/zero: not a regular file", link: link + ": not a regular file", pipe: pipe + ": not a regular file", dir: dir + ": not a regular file",
		large:               large + ": longer than 16 MiB; this is not a configuration file",
		"/proc/self/status": "/proc/self/status" + kernel, "/sys/kernel/uevent_seqnum": "/sys/kernel/uevent_seqnum" + kernel,
		"/proc/kmsg": "/proc/kmsg" + kernel, "/proc/sys/kernel/random/uuid": "/proc/sys/kernel/random/uuid" + kernel,
	} {
		if _, err := os.Stat(path); err != nil {
			continue // the kernel of this host does not have the file
		}
		began := time.Now()
		text, err := new(Reader).Read(t.Context(), path)
		if err == nil || err.Error() != want && !os.IsPermission(err) || len(text) > maxFile+1 {
			t.Errorf("got  %v\nwant %s", err, want)
		}
		if took := time.Since(began); took > readTimeout/2 {
			t.Errorf("%s: %v", path, took)
		}
	}
}

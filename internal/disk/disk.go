// Package disk reads the files of operators. A read ends with an error if the file system does not
// reply in time, for example an NFS mount whose server is down.
package disk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"
)

// maxFile is the size of the largest file that Read accepts, in bytes. A configuration file with
// 10,000 real servers has half a megabyte.
const maxFile = 16 << 20

// readTimeout is how long one read can take. If the context of the caller has a deadline, a read
// can take at most half of the time until the deadline.
const readTimeout = 5 * time.Second

// ErrSilent is the error of a read that did not end in time, and of all later reads until that read
// ends.
var ErrSilent = errors.New("the file system does not answer; repair or unmount it")

// Reader reads files. The zero value is ready. A read that times out continues in its goroutine and
// keeps a thread. Until that read ends, the Reader starts no other read, so that a daemon does not
// run out of threads.
type Reader struct {
	// Helper is the path and the arguments of a program that calls Help at its start. The Reader
	// adds the path of the file to the arguments. If Helper is set, Read starts this program, so a
	// process reads instead of a thread. The reason is a wait in the kernel (fs/dcache.c:
	// d_wait_lookup). Two processes can wait for the same name on a file system that does not
	// reply. Then the kernel lets a thread wait without limit, and this process could not exit
	// while its thread waits.
	Helper []string

	silent atomic.Int32 // silent is the number of reads that no caller waits for any longer.
	hangs  atomic.Value // hangs is the path of the last such read.
}

// Read returns the text of a regular file. It returns an error for other files, for files that are
// larger than maxFile, and for files in the file systems that ofKernel refuses.
func (r *Reader) Read(ctx context.Context, path string) ([]byte, error) {
	if len(r.Helper) > 0 {
		return r.helped(ctx, path)
	}
	return within(ctx, r, path, func() ([]byte, error) { return read(path) })
}

// Stat returns the result of os.Stat.
func (r *Reader) Stat(ctx context.Context, path string) (fs.FileInfo, error) {
	return within(ctx, r, path, func() (fs.FileInfo, error) { return os.Stat(path) })
}

// Names returns the names of the entries of a directory.
func (r *Reader) Names(ctx context.Context, path string) ([]string, error) {
	return within(ctx, r, path, func() ([]string, error) {
		entries, err := os.ReadDir(path)
		names := make([]string, 0, len(entries))
		for _, entry := range entries {
			names = append(names, entry.Name())
		}
		return names, err
	})
}

// Glob returns the result of filepath.Glob.
func (r *Reader) Glob(ctx context.Context, pattern string) ([]string, error) {
	return within(ctx, r, pattern, func() ([]string, error) { return filepath.Glob(pattern) })
}

// within runs f and returns its result. If f does not return in time, or if an earlier read has not
// ended, within returns ErrSilent. If the caller cancels ctx, within returns the error of ctx.
func within[T any](ctx context.Context, r *Reader, path string, f func() (T, error)) (none T, err error) {
	if err := r.refuse(path); err != nil {
		return none, err
	}
	limited, cancel := bounded(ctx)
	defer cancel()
	type result struct {
		value T
		err   error
	}
	got, ended := make(chan result, 1), make(chan struct{})
	go func() {
		defer close(ended)
		value, err := f()
		got <- result{value, err}
	}()
	select {
	case g := <-got:
		return g.value, g.err
	case <-limited.Done():
		return none, r.giveUp(ctx, path, ended)
	}
}

// refuse returns ErrSilent if an earlier read has not ended. The error also names the path of the
// earlier read, because path can be in another file system.
func (r *Reader) refuse(path string) error {
	if r.silent.Load() == 0 {
		return nil
	}
	if hangs := r.hangs.Load(); hangs != path {
		return fmt.Errorf("%s: not read, because the read of %s has not ended: %w", path, hangs, ErrSilent)
	}
	return silent(path)
}

// giveUp counts a read that the caller does not wait for, until the channel ended is closed. It
// returns ErrSilent, or the error of ctx if the caller has cancelled ctx.
func (r *Reader) giveUp(ctx context.Context, path string, ended <-chan struct{}) error {
	r.hangs.Store(path)
	r.silent.Add(1)
	go func() {
		<-ended
		r.silent.Add(-1)
	}()
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	return silent(path)
}

func silent(path string) error { return fmt.Errorf("%s: %w", path, ErrSilent) }

// bounded returns a context that ends at the deadline of one read.
func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	limit := readTimeout
	if deadline, ok := ctx.Deadline(); ok {
		limit = min(limit, time.Until(deadline)/2)
	}
	return context.WithTimeout(ctx, limit)
}

func read(path string) ([]byte, error) {
	// An open of a device can change the device, and an open of a pipe waits for a writer.
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return nil, named(path, errIrregular)
	}
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if err := errors.Join(regular(file.Stat()), ofKernel(file)); err != nil {
		return nil, named(path, err)
	}
	text, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = fmt.Errorf("%s: longer than %d MiB; this is not a configuration file", path, maxFile>>20)
	}
	return text, err
}

var errIrregular = errors.New("not a regular file")

func regular(info fs.FileInfo, err error) error {
	if err == nil && !info.Mode().IsRegular() {
		return errIrregular
	}
	return err
}

// ofKernel returns an error if the file is in procfs, sysfs, tracefs or debugfs (statfs(2)). A read
// of some files there blocks, or loses data for other readers. An example is /proc/kmsg.
func ofKernel(file *os.File) error {
	const proc, sys, trace, debug = 0x9fa0, 0x62656572, 0x74726163, 0x64626720
	var found syscall.Statfs_t
	if err := syscall.Fstatfs(int(file.Fd()), &found); err != nil {
		return fmt.Errorf("statfs: %w", err)
	}
	switch int64(found.Type) {
	case proc, sys, trace, debug:
		return errors.New("a file of the kernel; this is not a configuration file")
	}
	return nil
}

// named adds the path to an error that does not contain a path.
func named(path string, err error) error {
	if _, has := errors.AsType[*fs.PathError](err); has {
		return err
	}
	return fmt.Errorf("%s: %w", path, err)
}

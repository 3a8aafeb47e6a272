package state

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// ErrUnusable is the error for a path that cannot be used as a state file: the file cannot be
// opened or read, is not a regular file, or other users can have written it.
var ErrUnusable = errors.New("not usable")

// longest is the largest number of bytes that Read reads. No state file becomes so long.
const longest = 256 << 20

// Read returns the text of a file. The error is fs.ErrNotExist if the file does not exist. Every
// other error is ErrUnusable.
func Read(path string) (string, error) {
	file, err := Open(path, os.O_RDONLY)
	if err != nil {
		return "", err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, longest))
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrUnusable, err)
	}
	return string(text), nil
}

// Open opens a regular file. It refuses a file that other users can have written, and every file in
// a directory that they can change (see Trust). The error is fs.ErrNotExist if the file does not
// exist. Every other error is ErrUnusable. flags are the flags of os.OpenFile.
func Open(path string, flags int) (*os.File, error) {
	if err := Trust(filepath.Dir(path)); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(path, flags|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o600)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, err
	case errors.Is(err, syscall.ENOTDIR): // a part of the path is a file and not a directory
		return nil, fmt.Errorf("%w: %w", err, fs.ErrNotExist)
	case errors.Is(err, syscall.ELOOP):
		return nil, fmt.Errorf("%s is a link, which is not followed; remove it: %w", path, ErrUnusable)
	case errors.Is(err, syscall.ENXIO), errors.Is(err, syscall.EISDIR):
		return nil, fmt.Errorf("%s is not a regular file; remove it: %w", path, ErrUnusable)
	case err != nil:
		return nil, fmt.Errorf("%w: %w", err, ErrUnusable)
	}
	info, err := file.Stat()
	switch {
	case err != nil:
		err = fmt.Errorf("%w: %w", err, ErrUnusable)
	case !info.Mode().IsRegular():
		err = fmt.Errorf("%s is not a regular file; remove it: %w", path, ErrUnusable)
	default:
		err = trusted(path, info)
	}
	if err != nil {
		_ = file.Close()
		return nil, err
	}
	return file, nil
}

// Write replaces a file, and makes its directory if the directory does not exist. After the end of
// a process during Write, the path has either the old or the new text. On a full file system, Write
// overwrites the old text in place if its blocks have room for the new text. If the process ends
// during the overwriting, the file can be damaged.
func Write(path, text string) error {
	dir, name := filepath.Split(path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := Trust(dir); err != nil {
		return err
	}
	temporary := filepath.Join(dir, "."+name)
	err := create(temporary, text)
	if err == nil {
		err = os.Rename(temporary, path)
	}
	if err != nil {
		_ = os.Remove(temporary)
	}
	if info, failed := os.Lstat(path); err != nil && failed == nil && info.IsDir() {
		return fmt.Errorf("%s is a directory; remove it: %w", path, ErrUnusable)
	}
	if errors.Is(err, syscall.ENOSPC) && overwrite(path, text) == nil {
		return nil
	}
	return err
}

// create makes a new file. It first removes a file or link that a killed process or another user
// has left. It does not follow a link.
func create(path, text string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL|unix.O_NOFOLLOW, 0o644)
	if err != nil {
		return err
	}
	_, err = file.WriteString(text)
	return errors.Join(err, file.Close())
}

// overwrite replaces the text of a file, if the file needs no new block for the new text.
func overwrite(path, text string) error {
	file, err := Open(path, os.O_WRONLY)
	if err != nil {
		return err
	}
	defer file.Close()
	var info unix.Stat_t
	if err := unix.Fstat(int(file.Fd()), &info); err != nil {
		return err
	}
	if info.Blocks*512 < int64(len(text)) {
		return syscall.ENOSPC
	}
	if _, err := file.WriteAt([]byte(text), 0); err != nil {
		return err
	}
	return file.Truncate(int64(len(text)))
}

// Remove deletes a file. It succeeds if the file does not exist.
func Remove(path string) error {
	err := os.Remove(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) {
		return err
	}
	return nil
}

// Trust returns ErrUnusable if other users can change the files of a directory. They can do so if
// the directory, or a directory above it, belongs to another user or lets others write. In a sticky
// directory, others can write but cannot change the files of this user. The directory need not
// exist. The error is also ErrUnusable if one of these directories cannot be examined.
func Trust(dir string) error {
	for dir = filepath.Clean(dir); ; dir = filepath.Dir(dir) {
		info, err := os.Lstat(dir)
		if err == nil && info.Mode()&fs.ModeSymlink != 0 {
			if err := owned(dir, info); err != nil {
				return err
			}
			info, err = os.Stat(dir)
		}
		switch {
		case err != nil:
			err = fmt.Errorf("%w: %w", err, ErrUnusable)
		case info.IsDir() && info.Mode()&fs.ModeSticky != 0:
			err = owned(dir, info)
		default:
			err = trusted(dir, info)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) {
			return err
		}
		if dir == filepath.Dir(dir) {
			return nil
		}
	}
}

func owned(path string, info fs.FileInfo) error {
	uid := info.Sys().(*syscall.Stat_t).Uid
	if uid != 0 && int(uid) != os.Geteuid() {
		return fmt.Errorf("%s belongs to the user with id %d, who can change it; chown root %s, or remove it: %w", path, uid, path, ErrUnusable)
	}
	return nil
}

// trusted returns ErrUnusable for a file or directory that other users can change. The group of
// root and the group of this process can have write permission.
func trusted(path string, info fs.FileInfo) error {
	if err := owned(path, info); err != nil {
		return err
	}
	gid := info.Sys().(*syscall.Stat_t).Gid
	mode := info.Mode().Perm()
	if mode&0o002 != 0 || mode&0o020 != 0 && gid != 0 && int(gid) != os.Getegid() {
		return fmt.Errorf("other users may write to %s (mode %04o); chmod go-w %s: %w", path, mode, path, ErrUnusable)
	}
	return nil
}

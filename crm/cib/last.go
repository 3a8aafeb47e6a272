package cib

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// Change is the last change of the cluster by this node. It is in a file that survives a reboot.
type Change struct {
	Time   time.Time `json:"time"`
	Before Part      `json:"before"`
	After  Part      `json:"after"`
	// Until is when the former configuration comes back without a confirmation. Zero means never.
	Until     time.Time `json:"until,omitzero"`
	Confirmed bool      `json:"confirmed,omitempty"`
	Undone    bool      `json:"undone,omitempty"`
}

// Waits reports whether the change still needs a confirmation.
func (c Change) Waits() bool { return !c.Until.IsZero() && !c.Confirmed && !c.Undone }

// ErrNoChange is the error of a node that has not changed the cluster.
var ErrNoChange = errors.New("this node has no change by lvsctl apply")

// Last keeps the last change in a directory.
type Last struct{ Dir string }

func (l Last) path() string { return filepath.Join(l.Dir, "applied.json") }

// Lock makes other processes wait that change the cluster from this node. The caller must call the
// returned function.
func (l Last) Lock(ctx context.Context) (unlock func(), err error) {
	if err := os.MkdirAll(l.Dir, 0o700); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(filepath.Join(l.Dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { _ = file.Close() }, nil
		}
		select {
		case <-ctx.Done():
			_ = file.Close()
			return nil, fmt.Errorf("another lvsctl changes the cluster: %w", ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// Load returns the last change.
func (l Last) Load() (Change, error) {
	var c Change
	text, err := os.ReadFile(l.path())
	if errors.Is(err, fs.ErrNotExist) {
		return c, ErrNoChange
	}
	if err == nil {
		err = json.Unmarshal(text, &c)
	}
	if err != nil {
		return c, fmt.Errorf("%s: %w", l.path(), err)
	}
	return c, nil
}

// Forget removes the last change.
func (l Last) Forget() error { return os.Remove(l.path()) }

// Save writes the change, and waits until it is on the disk. The file can have passwords, so only
// root can read it.
func (l Last) Save(c Change) error {
	text, err := json.MarshalIndent(c, "", "\t")
	if err != nil {
		return err
	}
	file, err := os.CreateTemp(l.Dir, ".applied-")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(file.Name()) }()
	_, err = file.Write(append(text, '\n'))
	err = errors.Join(err, file.Sync(), file.Close())
	if err != nil {
		return err
	}
	if err := os.Rename(file.Name(), l.path()); err != nil {
		return err
	}
	dir, err := os.Open(l.Dir)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

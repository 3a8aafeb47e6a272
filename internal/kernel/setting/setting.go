// Package setting reads and changes what makes a host a real server: sysctls,
// addresses, links, default routes and ARP rules, in the network namespace that
// the calling thread is in.
package setting

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"lvs-agents/internal/host"
	knetlink "lvs-agents/internal/kernel/netlink"
)

// Kernel is the settings of this host. It keeps nothing between two calls. All
// calls end with their context's deadline.
type Kernel struct{}

// Gone is the value of a setting whose place does not exist: the sysctls of an
// interface that was removed, for example.
const Gone = ""

// Get returns the value of a setting, Gone if its place does not exist. A program
// or subsystem that is missing is an host.ErrNotInstalled.
func (Kernel) Get(ctx context.Context, s host.Setting) (string, error) {
	value, err := get(ctx, s)
	if err != nil {
		return "", fmt.Errorf("look at %s: %w", s, translate(err))
	}
	return value, nil
}

func get(ctx context.Context, s host.Setting) (string, error) {
	switch s.Kind {
	case host.Sysctl:
		value, err := os.ReadFile(path(s))
		if errors.Is(err, fs.ErrNotExist) {
			return Gone, nil
		}
		return strings.TrimSpace(string(value)), err
	case host.HostAddress:
		return withHandle(ctx, func(h *netlink.Handle) (string, error) { return address(ctx, h, s) })
	case host.LinkUp:
		return withHandle(ctx, func(h *netlink.Handle) (string, error) { return linkUp(h, s) })
	case host.DefaultRoute:
		return withHandle(ctx, func(h *netlink.Handle) (string, error) { return defaultRoute(ctx, h, s) })
	case host.ARPTables:
		return arpRule(ctx, s)
	case host.NFTables:
		return table(s)
	}
	return "", fmt.Errorf("setting of kind %q is none", s.Kind)
}

// Set gives a setting a value; the error starts with the command that would do
// the same. Doing what was done already may fail.
func (Kernel) Set(ctx context.Context, s host.Setting, value string) error {
	if err := set(ctx, s, value); err != nil {
		return fmt.Errorf("%s: %w", s.Command(value), translate(err))
	}
	return nil
}

func set(ctx context.Context, s host.Setting, value string) error {
	on := value == host.On
	change := func(f func(*netlink.Handle) error) error {
		_, err := withHandle(ctx, func(h *netlink.Handle) (string, error) { return "", f(h) })
		return err
	}
	switch s.Kind {
	case host.Sysctl:
		return os.WriteFile(path(s), []byte(value+"\n"), 0)
	case host.HostAddress:
		return change(func(h *netlink.Handle) error { return setAddress(ctx, h, s, on) })
	case host.LinkUp:
		return change(func(h *netlink.Handle) error { return setLink(h, s, on) })
	case host.DefaultRoute:
		return change(func(h *netlink.Handle) error { return setRoute(h, s, on) })
	case host.ARPTables:
		return setARPRule(ctx, s, on)
	case host.NFTables:
		return setTable(s, on)
	}
	return fmt.Errorf("setting of kind %q is none", s.Kind)
}

func path(s host.Setting) string { return filepath.Join("/proc/sys", s.Name) }

// withHandle runs f with a socket whose calls end with the deadline.
func withHandle(ctx context.Context, f func(*netlink.Handle) (string, error)) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return "", err
	}
	defer h.Close()
	left := time.Minute
	if deadline, ok := ctx.Deadline(); ok {
		left = max(time.Until(deadline), time.Microsecond)
	}
	if err := h.SetSocketTimeout(left); err != nil {
		return "", err
	}
	return f(h)
}

// dump repeats list until it was not interrupted.
func dump[T any](ctx context.Context, list func() ([]T, error)) (all []T, err error) {
	err = knetlink.Whole(ctx, func() error {
		all, err = list()
		return err
	})
	return all, err
}

func translate(err error) error {
	var errno syscall.Errno
	var missing netlink.LinkNotFoundError
	switch {
	case errors.As(err, &missing):
		return host.NotInstalled("the network interface does not exist; create it or give one that ip link shows")
	case !errors.As(err, &errno):
		return err
	case errno == unix.EAGAIN:
		return context.DeadlineExceeded
	case errno == unix.EEXIST:
		return fs.ErrExist
	case errno == unix.EADDRNOTAVAIL, errno == unix.ESRCH:
		return fs.ErrNotExist
	case errno == unix.EPERM:
		return fs.ErrPermission
	}
	return err
}

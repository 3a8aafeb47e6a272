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

	"lvs-agents/internal/host"
	"lvs-agents/internal/kernel/link"
	knetlink "lvs-agents/internal/kernel/netlink"
)

// Kernel is the settings of this host, and through Links its addresses. It keeps nothing
// between two calls. All calls end with their context's deadline.
type Kernel struct{ *Links }

// Links is the interfaces and addresses of this host.
type Links = link.Kernel

// New returns a Kernel that changes addresses under a lock in lockDir, and opens nothing.
func New(lockDir string) Kernel { return Kernel{link.New(lockDir)} }

// Gone is the value of a setting whose place does not exist: the sysctls of an
// interface that was removed, for example.
const Gone = ""

// Get returns the value of a setting, Gone if its place does not exist. A program
// or subsystem that is missing is an host.ErrNotInstalled.
func (k Kernel) Get(ctx context.Context, s host.Setting) (string, error) {
	value, err := k.get(ctx, s)
	if err != nil {
		return "", fmt.Errorf("reading %s: %w", s, knetlink.Translate(err))
	}
	return value, nil
}

func (k Kernel) get(ctx context.Context, s host.Setting) (string, error) {
	switch s.Kind {
	case host.Sysctl:
		return sysctl(s)
	case host.HostAddress:
		return k.address(ctx, s)
	case host.LinkUp:
		return k.linkUp(ctx, s)
	case host.DefaultRoute:
		return k.defaultRoute(ctx, s)
	case host.ARPTables:
		return arpRule(ctx, s)
	case host.NFTables:
		return table(s)
	}
	return "", fmt.Errorf("unknown kind of setting %q", s.Kind)
}

// Set gives a setting a value; the error starts with the command that would do
// the same. Doing what was done already may fail.
func (k Kernel) Set(ctx context.Context, s host.Setting, value string) error {
	if err := k.set(ctx, s, value); err != nil {
		return fmt.Errorf("%s: %w", s.Command(value), knetlink.Translate(err))
	}
	return nil
}

func (k Kernel) set(ctx context.Context, s host.Setting, value string) error {
	on := value == host.On
	switch s.Kind {
	case host.Sysctl:
		return os.WriteFile(path(s), []byte(value+"\n"), 0)
	case host.HostAddress:
		return k.setAddress(ctx, s, on)
	case host.LinkUp:
		return k.setLink(ctx, s, on)
	case host.DefaultRoute:
		return setRoute(ctx, s, on)
	case host.ARPTables:
		return setARPRule(ctx, s, on)
	case host.NFTables:
		return setTable(s, on)
	}
	return fmt.Errorf("unknown kind of setting %q", s.Kind)
}

func sysctl(s host.Setting) (string, error) {
	value, err := os.ReadFile(path(s))
	if errors.Is(err, fs.ErrNotExist) {
		return Gone, nil
	}
	return strings.TrimSpace(string(value)), err
}

func path(s host.Setting) string { return filepath.Join("/proc/sys", s.Name) }

func onOff(on bool) string {
	if on {
		return host.On
	}
	return host.Off
}

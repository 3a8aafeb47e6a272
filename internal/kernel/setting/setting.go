// Package setting reads and changes the settings that make a host a real server: sysctls,
// addresses, links, default routes, ARP rules and ports of tunnels, in the network namespace of the
// calling thread.
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

// Kernel reads and changes the settings of this host. With the methods of Links it also reads and
// changes addresses. It keeps no state between two calls. The calls end at the deadline of their
// context, except calls about nftables.
type Kernel struct{ *Links }

// Links reads and changes the interfaces and addresses of this host.
type Links = link.Kernel

// New returns a Kernel that changes addresses under a lock in lockDir. It opens nothing.
func New(lockDir string) Kernel { return Kernel{link.New(lockDir)} }

// Gone is the value of a setting that cannot exist, for example the sysctls of an interface that
// was removed.
const Gone = ""

// Get returns the value of a setting, or Gone. The error is a host.ErrNotInstalled if a program or
// a subsystem of the kernel is missing.
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
	case host.GUEPort:
		return guePort(ctx, s)
	case host.SyncDaemon, host.Timeout: // Package internal/kernel/ipvs has these settings.
	case host.NFTMarks, host.IPTablesMarks: // Package internal/kernel/mark has the rules.
	}
	return "", fmt.Errorf("unknown kind of setting %q", s.Kind)
}

// Set gives a setting a value. The error starts with the command that an operator would use for the
// same change. Set can fail if the setting already has the value.
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
	case host.GUEPort:
		return setGUEPort(ctx, s, on)
	case host.SyncDaemon, host.Timeout, host.NFTMarks, host.IPTablesMarks:
	}
	return fmt.Errorf("unknown kind of setting %q", s.Kind)
}

// sysctl returns a value with one blank between two numbers, although the kernel writes a tab.
func sysctl(s host.Setting) (string, error) {
	value, err := os.ReadFile(path(s))
	if errors.Is(err, fs.ErrNotExist) {
		return Gone, nil
	}
	return strings.Join(strings.Fields(string(value)), " "), err
}

func path(s host.Setting) string { return filepath.Join("/proc/sys", s.Name) }

func onOff(on bool) string {
	if on {
		return host.On
	}
	return host.Off
}

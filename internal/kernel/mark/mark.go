// Package mark reads and changes the rules that give incoming packets a mark, in the network
// namespace of the calling thread. The rules of a resource are a table of nftables, or for each
// address family a chain of legacy iptables in the table mangle.
package mark

import (
	"context"
	"fmt"

	"lvs-agents/internal/host"
)

// Kernel reads and changes marks. It keeps no state between two calls. All calls end at the
// deadline of their context.
type Kernel struct{}

// Get returns the value of a setting. The value is host.Off if nothing has the name of the setting.
// The value is the text of a host.Marks if exactly the rules of these marks exist, and no earlier
// rule can accept the packets. Otherwise, the value is a text that says how the rules differ.
func (Kernel) Get(ctx context.Context, s host.Setting) (string, error) {
	read := readTable
	if s.Kind == host.IPTablesMarks {
		read = readChains
	}
	value, err := read(ctx, s.Name)
	if err != nil {
		return "", fmt.Errorf("reading %s: %w", s.Noun(), err)
	}
	return value, nil
}

// Set gives a setting a value: host.Off, or the text of a host.Marks. It replaces the rules of each
// address family in one step, so no packet misses its mark.
func (Kernel) Set(ctx context.Context, s host.Setting, value string) error {
	var m host.Marks // without addresses: no rules
	if value != host.Off {
		var err error
		if m, err = host.ParseMarks(value); err != nil {
			return err
		}
	}
	write := writeTable
	if s.Kind == host.IPTablesMarks {
		write = writeChains
	}
	if err := write(ctx, s.Name, m); err != nil {
		return fmt.Errorf("%s: %w", s.Command(value), err)
	}
	return nil
}

// Usable returns nil if this host can mark packets in this way. The error is a
// host.ErrNotInstalled if the kernel or a program lacks something.
func (Kernel) Usable(ctx context.Context, kind host.SettingKind, m host.Marks) error {
	if kind == host.IPTablesMarks {
		return programsWork(ctx, m)
	}
	return tryTable(ctx, m)
}

package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"path/filepath"

	"lvs-agents/internal/state"
)

// namesFile returns the path of the file with the last addresses of host names. The agents and the
// daemons of a node share this file, so that they use the same address for a name.
func namesFile(stateDir string) string { return filepath.Join(stateDir, "names") }

// network returns the family of a host in the words of a Resolver.
func (h Host) network() string {
	if h.IPv6 {
		return "ip6"
	}
	return "ip4"
}

// Restore reads the last addresses that Save has written. A missing file is not an error.
func (n *Names) Restore(stateDir string) error {
	last, err := restore(stateDir)
	n.mu.Lock()
	defer n.mu.Unlock()
	maps.Copy(n.last, last)
	return err
}

func restore(stateDir string) (map[Host]netip.Addr, error) {
	text, err := state.Read(namesFile(stateDir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	// written has the addresses by their family and then by the host name.
	var written map[string]map[string]netip.Addr
	if err == nil {
		err = json.Unmarshal([]byte(text), &written)
	}
	last := map[Host]netip.Addr{}
	for network, names := range written {
		for name, addr := range names {
			if h := (Host{name, network == "ip6"}); addr.IsValid() && addr.Is6() == h.IPv6 {
				last[h] = addr
			}
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w; delete it", namesFile(stateDir), err)
	}
	return last, nil
}

// Save adds the last addresses to the file, and keeps the addresses of other names there. If no
// address has changed since the last Save, it does nothing.
func (n *Names) Save(stateDir string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.changed {
		return nil
	}
	last, err := restore(stateDir)
	if err != nil || last == nil {
		last = map[Host]netip.Addr{} // The write below replaces a file that cannot be read.
	}
	maps.Copy(last, n.last)
	written := map[string]map[string]netip.Addr{}
	for h, addr := range last {
		if written[h.network()] == nil {
			written[h.network()] = map[string]netip.Addr{}
		}
		written[h.network()][h.Name] = addr
	}
	text, err := json.Marshal(written)
	if err != nil {
		return err
	}
	if err := state.Write(namesFile(stateDir), string(text)); err != nil {
		return fmt.Errorf("the last addresses of host names: %w", err)
	}
	n.changed = false
	return nil
}

package main

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"lvs-agents/internal/doctor"
	"lvs-agents/internal/kernel/announce"
)

// thisNode reads this host.
type thisNode struct{ announce.Neighbours }

// Name returns the host name. It is empty if the kernel does not tell it.
func (thisNode) Name() string {
	name, _ := os.Hostname()
	return name
}

func (thisNode) Links() ([]doctor.Link, error) {
	list, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	var links []doctor.Link
	for _, nic := range list {
		l := doctor.Link{Name: nic.Name, Up: nic.Flags&net.FlagUp != 0}
		addresses, err := nic.Addrs()
		if err != nil {
			return nil, err
		}
		for _, a := range addresses {
			if p, err := netip.ParsePrefix(a.String()); err == nil {
				l.Networks = append(l.Networks, p)
			}
		}
		links = append(links, l)
	}
	return links, nil
}

func (thisNode) Directory(path string) doctor.Directory {
	for ; path != "/"; path = filepath.Dir(path) { // The first agent creates the directory.
		var s unix.Statfs_t
		if unix.Statfs(path, &s) == nil {
			return doctor.Directory{Path: path, ReadOnly: s.Flags&unix.ST_RDONLY != 0, Free: s.Bavail * uint64(s.Bsize)}
		}
	}
	return doctor.Directory{}
}

func (thisNode) Clock() (int, error) { return unix.Adjtimex(new(unix.Timex)) }

func (thisNode) Lacks(agents []string) (lacking []string) {
	for _, name := range agents {
		if _, err := os.Stat("/usr/lib/ocf/resource.d/lvs/" + name); os.IsNotExist(err) {
			lacking = append(lacking, name)
		}
	}
	return lacking
}

// Savers leaves out packet filters that the kernel has not loaded, because their programs would
// load them.
func (thisNode) Savers() (commands []string) {
	for file, program := range map[string]string{"ip_tables_names": "iptables", "ip6_tables_names": "ip6tables"} {
		text, err := os.ReadFile("/proc/net/" + file)
		if err == nil && strings.TrimSpace(string(text)) != "" {
			commands = append(commands, program+"-legacy-save")
		}
		if _, err := os.Stat("/sys/module/nf_tables"); err == nil {
			commands = append(commands, program+"-save")
		}
	}
	if slices.Contains(commands, "iptables-save") {
		commands = append(commands, "nft --json list ruleset")
	}
	return commands
}

package ipvs

import (
	"bytes"
	"os"
	"path/filepath"
)

// Forwards reports whether an interface in the network namespace of the calling thread forwards
// packets of an address family. If no interface forwards packets, replies of masq servers do not
// reach clients. Forwards returns true if it cannot read the settings.
func (k *Kernel) Forwards(v6 bool) bool {
	family := "ipv4"
	if v6 {
		family = "ipv6"
	}
	switches, err := filepath.Glob("/proc/sys/net/" + family + "/conf/*/forwarding")
	if err != nil || len(switches) == 0 {
		return true
	}
	for _, file := range switches {
		if nic := filepath.Base(filepath.Dir(file)); nic == "all" || nic == "default" || nic == "lo" {
			continue
		}
		if value, err := os.ReadFile(file); err != nil || !bytes.HasPrefix(value, []byte("0")) {
			return true
		}
	}
	return false
}

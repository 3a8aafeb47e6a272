package ipvs

import (
	"bytes"
	"os"
	"path/filepath"
)

// Forwards reports whether an interface of the network namespace of the calling thread
// forwards packets of a family, and so lets answers of masq servers through. It is true
// where that cannot be found out.
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

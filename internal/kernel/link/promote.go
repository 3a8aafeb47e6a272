package link

import (
	"cmp"
	"fmt"
	"os"
	"strings"

	files "lvs-agents/internal/state"
)

// promotion sets the sysctl promote_secondaries of an interface to 1 during a deletion. Then the
// kernel keeps the other addresses of the subnet. A file, the note, lists the sysctls that are set.
// If the process is killed during the deletion, the next process restores the sysctls in the note.
type promotion struct {
	note string
	// alone means that this process has the lock of addresses, so no other process sets a sysctl.
	alone bool
}

func sysctlPath(nic string) string {
	return "/proc/sys/net/ipv4/conf/" + nic + "/promote_secondaries"
}

// during runs remove while promote_secondaries of nic is 1, and then restores the old value.
func (p promotion) during(nic string, remove func() error) (err error) {
	// The kernel keeps the addresses if the sysctl of all or of the interface is set.
	for _, path := range []string{sysctlPath("all"), sysctlPath(nic)} {
		found, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("the kernel would delete other addresses with this address: %w", err)
		}
		if strings.TrimSpace(string(found)) != "0" {
			return remove()
		}
	}
	p.write(nic)
	if err := os.WriteFile(sysctlPath(nic), []byte("1\n"), 0); err != nil {
		return fmt.Errorf("the kernel would delete other addresses with this address: %w", err)
	}
	defer func() {
		err = cmp.Or(err, os.WriteFile(sysctlPath(nic), []byte("0\n"), 0))
		if err == nil && p.alone {
			_ = os.Remove(p.note)
		}
	}()
	return remove()
}

// write adds nic to the note. It ignores errors: an address must be deleted even if the note cannot
// be written.
func (p promotion) write(nic string) {
	here, err := files.Now()
	if err != nil {
		return
	}
	file, err := files.Open(p.note, os.O_WRONLY|os.O_CREATE|os.O_APPEND)
	if err != nil {
		return
	}
	_, _ = fmt.Fprintf(file, "%s %s %s\n", here.Inode, nic, here.Cookie)
	_ = file.Close()
}

// restore sets the sysctls in the note back to 0, after a process was killed during a deletion.
// Sysctls of other network namespaces stay in the note, and so do sysctls that cannot be written
// now.
func (p promotion) restore() {
	note, err := files.Read(p.note)
	if err != nil || !p.alone {
		return
	}
	here, err := files.Now()
	if err != nil {
		return
	}
	var left strings.Builder
	for line := range strings.Lines(note) {
		// Notes of earlier versions have no cookie (the third word). The added word replaces it.
		words := append(strings.Fields(line), "")
		if len(words) < 3 || !strings.HasSuffix(line, "\n") || strings.Contains(words[1], "/") {
			continue // the line is not ours, or the process was killed before it changed the sysctl
		}
		nic := words[1]
		if here.Wrote(here.Boot+" "+words[0], words[2]) {
			if err := os.WriteFile(sysctlPath(nic), []byte("0\n"), 0); err == nil || os.IsNotExist(err) {
				continue
			}
		}
		left.WriteString(line)
	}
	if left.Len() > 0 {
		_ = files.Write(p.note, left.String())
		return
	}
	_ = os.Remove(p.note)
}

package link

import (
	"cmp"
	"fmt"
	"os"
	"strings"

	files "lvs-agents/internal/state"
)

// promotion is the sysctl promote_secondaries of interfaces of one network
// namespace, raised for one deletion at a time. A note in a file says what is
// raised, so that a process that is killed meanwhile leaves nothing behind: the
// next one puts it back.
type promotion struct {
	note string
	// alone says that no other process raises anything meanwhile: the lock of
	// addresses is held.
	alone bool
}

func sysctlPath(nic string) string {
	return "/proc/sys/net/ipv4/conf/" + nic + "/promote_secondaries"
}

// during runs remove while promote_secondaries of nic is 1 and then puts back
// what it was.
func (p promotion) during(nic string, remove func() error) (err error) {
	for _, path := range []string{sysctlPath("all"), sysctlPath(nic)} { // the kernel takes either
		found, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("the kernel would delete other addresses with it: %w", err)
		}
		if strings.TrimSpace(string(found)) != "0" {
			return remove()
		}
	}
	p.write(nic)
	if err := os.WriteFile(sysctlPath(nic), []byte("1\n"), 0); err != nil {
		return fmt.Errorf("the kernel would delete other addresses with it: %w", err)
	}
	defer func() {
		err = cmp.Or(err, os.WriteFile(sysctlPath(nic), []byte("0\n"), 0))
		if err == nil && p.alone {
			_ = os.Remove(p.note)
		}
	}()
	return remove()
}

// write notes that nic is about to be raised. A directory that cannot be
// written is no reason to keep an address that has to go.
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

// restore lowers what a killed process left raised. What another network
// namespace left stays in the note, and so does what cannot be lowered now.
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
		words := append(strings.Fields(line), "") // a version before this one wrote no cookie
		if len(words) < 3 || !strings.HasSuffix(line, "\n") || strings.Contains(words[1], "/") {
			continue // cut short by the kill, which came before anything was raised
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

package lab

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Table returns the IPVS table of a host in the format of "ipvsadm -Sn | sort". It reads
// /proc/net/ip_vs, which needs no process and no netlink. That file has no IPv6 services and no
// persistence, and shows every tunnel as ipip.
func (h *Host) Table() (string, error) {
	text, err := h.proc()
	if err != nil {
		return "", err
	}
	return parseTable(text)
}

func (h *Host) proc() (text string, err error) {
	err = h.Do(func() error {
		text, err = readProc()
		return err
	})
	return text, err
}

func readProc() (string, error) {
	text, err := os.ReadFile("/proc/thread-self/net/ip_vs")
	return string(text), err
}

// WaitTable waits until a host has the wanted table, in the sorted format of Table. It returns how
// long this took.
func (h *Host) WaitTable(tb testing.TB, timeout time.Duration, want string) time.Duration {
	tb.Helper()
	const pause = 5 * time.Millisecond
	began, p := time.Now(), slowTimeout{timeout: timeout, slowness: slowness}
	for {
		got, err := h.Table()
		switch {
		case err == nil && got == want:
			return time.Since(began)
		case p.ends(time.Since(began)):
			tb.Fatalf("%s: not within %v, %v: table\n%swant\n%s", h.Name, p, err, got, want)
		}
		<-time.After(pause)
	}
}

// WatchTable reads the table again and again, until the test calls the returned function. That
// function returns the tables in the order of their appearance. Each table differs from the table
// before it.
func (h *Host) WatchTable(tb testing.TB) func() []string {
	tb.Helper()
	const pause = 5 * time.Millisecond
	stop, ended := make(chan struct{}), make(chan error, 1)
	var seen []string
	go func() {
		ended <- h.Do(func() error {
			for last := false; ; {
				text, err := readProc()
				if err != nil {
					return err
				}
				table, err := parseTable(text)
				if err != nil {
					return err
				}
				if len(seen) == 0 || seen[len(seen)-1] != table {
					seen = append(seen, table)
				}
				if last {
					return nil
				}
				select {
				case <-stop:
					last = true // The caller wants to stop, so the loop reads the table once more and then ends.
				case <-time.After(pause):
				}
			}
		})
	}()
	end := sync.OnceValue(func() error {
		close(stop)
		return <-ended
	})
	tb.Cleanup(func() { _ = end() })
	return func() []string {
		if err := end(); err != nil {
			tb.Fatalf("%s: watching the table: %v", h.Name, err)
		}
		return seen
	}
}

// parseTable converts the kernel's format (ip_vs_ctl.c, ip_vs_info_seq_show) to ipvsadm's format.
func parseTable(text string) (string, error) {
	options := map[string]string{"TCP": "-t", "UDP": "-u", "FWM": "-f"}
	methods := map[string]string{"Route": "-g", "Masq": "-m", "Tunnel": "-i", "Local": "-g"}
	var table []string
	service := ""
	lines := strings.Split(strings.TrimSpace(text), "\n")
	for _, line := range lines[min(3, len(lines)):] {
		words := strings.Fields(line)
		if len(words) < 3 {
			return "", fmt.Errorf("line %q", line)
		}
		addr, err := address(words[1])
		switch {
		case err != nil:
			return "", err
		case words[0] != "->":
			service = options[words[0]] + " " + addr
			table = append(table, fmt.Sprintf("-A %s -s %s\n", service, words[2]))
		default:
			line := fmt.Sprintf("-a %s -r %s %s -w %s", service, addr, methods[words[2]], words[3])
			if words[2] == "Tunnel" {
				line += " --tun-type ipip"
			}
			table = append(table, line+"\n")
		}
	}
	slices.Sort(table)
	return strings.Join(table, ""), nil
}

// address converts a hexadecimal address and port, for example C000020A:0050, or a hexadecimal
// firewall mark, to ipvsadm's format.
func address(text string) (string, error) {
	host, port, found := strings.Cut(text, ":")
	number, err := strconv.ParseUint(host, 16, 32)
	if !found && err == nil {
		return strconv.FormatUint(number, 10), nil
	}
	raw, errHex := hex.DecodeString(host)
	number, errPort := strconv.ParseUint(port, 16, 16)
	if err := errors.Join(errHex, errPort); err != nil || len(raw) != 4 {
		return "", fmt.Errorf("address %q: %w", text, err)
	}
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte(raw)), uint16(number)).String(), nil
}

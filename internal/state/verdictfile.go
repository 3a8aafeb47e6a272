package state

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Verdicts is the content of a verdict file. A health daemon writes it every second, for readers
// that get no reply from the daemon because it hangs, is suspended, or has ended.
type Verdicts struct {
	Age   time.Duration // of the older of its loops
	Limit time.Duration // an age above it means that the daemon does not work
	Bad   []string      // real servers with that verdict, as package record names them
}

// verdictSuffix is the suffix since the first version, so that older and newer programs read each
// other's files.
const verdictSuffix = ".beat"

// DaemonDir is where health daemons keep their sockets, pid files and verdict files.
func DaemonDir(stateDir string) string { return filepath.Join(stateDir, "directord") }

func verdictFile(stateDir, id string) string {
	return filepath.Join(DaemonDir(stateDir), SocketName(id)+verdictSuffix)
}

// Save replaces the verdict file of a daemon. Its first line has two numbers of seconds:
// the time since boot when the older loop had turned, and the limit. A line for each bad
// server follows.
func (v Verdicts) Save(stateDir, id string) error {
	text := fmt.Sprintf("%.3f %.3f\n", (SinceBoot() - v.Age).Seconds(), v.Limit.Seconds())
	for _, server := range v.Bad {
		text += server + "\n"
	}
	return Write(verdictFile(stateDir, id), text)
}

// LoadVerdicts returns the verdicts of a daemon with their present age, which is negative
// after a reboot. The error is fs.ErrNotExist without a verdict file.
func LoadVerdicts(stateDir, id string) (Verdicts, error) {
	return readVerdicts(verdictFile(stateDir, id))
}

func readVerdicts(path string) (Verdicts, error) {
	text, err := Read(path)
	if err != nil {
		return Verdicts{}, err
	}
	v, err := parseVerdicts(text)
	if err != nil {
		return Verdicts{}, fmt.Errorf("%s: %w", path, err)
	}
	return v, nil
}

func parseVerdicts(text string) (Verdicts, error) {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	var at, limit float64
	if _, err := fmt.Sscan(lines[0], &at, &limit); err != nil {
		return Verdicts{}, err
	}
	return Verdicts{Age: SinceBoot() - seconds(at), Limit: seconds(limit), Bad: lines[1:]}, nil
}

func seconds(n float64) time.Duration { return time.Duration(n * float64(time.Second)) }

// Bad returns the real servers that one daemon found bad when it last checked them.
// Without a verdict file the map is empty.
func Bad(stateDir, id string) (map[string]bool, error) {
	v, err := LoadVerdicts(stateDir, id)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	bad := map[string]bool{}
	for _, server := range v.Bad {
		bad[server] = true
	}
	return bad, nil
}

// LastBad returns the real servers that a daemon of this node, which may have ended,
// found bad within the last while.
func LastBad(stateDir string, within time.Duration) (map[string]bool, error) {
	entries, err := os.ReadDir(DaemonDir(stateDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	bad := map[string]bool{}
	for _, entry := range entries {
		if !strings.HasSuffix(entry.Name(), verdictSuffix) || strings.HasPrefix(entry.Name(), ".") {
			continue
		}
		v, err := readVerdicts(filepath.Join(DaemonDir(stateDir), entry.Name()))
		if err != nil {
			return nil, err
		}
		if v.Age < 0 || v.Age > within {
			continue // of another boot, or too old
		}
		for _, server := range v.Bad {
			bad[server] = true
		}
	}
	return bad, nil
}

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

// Verdicts is the content of a verdict file. A health daemon writes the file every second. So other
// processes can read the verdicts of a daemon that hangs, is suspended, or has ended.
type Verdicts struct {
	// Age is the time since a loop of the daemon last worked. Of the loop that compares the table
	// and the loop that starts checks, the slower one counts.
	Age   time.Duration
	Limit time.Duration // Limit is the largest Age of a daemon that works.
	Bad   []string      // Bad are the names of the bad real servers, as in package record.
}

// verdictSuffix is the suffix of verdict files. All versions use the same suffix, so that older and
// newer programs read each other's files.
const verdictSuffix = ".beat"

// DaemonDir returns the directory where health daemons keep their sockets, pid files and verdict
// files.
func DaemonDir(stateDir string) string { return filepath.Join(stateDir, "directord") }

func verdictFile(stateDir, id string) string {
	return filepath.Join(DaemonDir(stateDir), SocketName(id)+verdictSuffix)
}

// Save replaces the verdict file of a daemon. The first line has two numbers of seconds: the time
// since boot when the slower loop last worked, and the limit. One line for each bad real server
// follows.
func (v Verdicts) Save(stateDir, id string) error {
	text := fmt.Sprintf("%.3f %.3f\n", (SinceBoot() - v.Age).Seconds(), v.Limit.Seconds())
	for _, server := range v.Bad {
		text += server + "\n"
	}
	return Write(verdictFile(stateDir, id), text)
}

// LoadVerdicts returns the verdicts of a daemon with their present age. A negative age means that
// the file was written before a reboot. The error is fs.ErrNotExist if the daemon has no verdict
// file.
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

// Bad returns the real servers that were bad when one daemon last wrote its verdict file. The map
// is empty if the daemon has no verdict file.
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

// LastBad returns the real servers that are bad in the verdict file of any daemon of this node. The
// daemon may have ended. A file counts only if its verdicts are not older than within.
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
			continue // The verdicts are from another boot, or are too old, so they do not count.
		}
		for _, server := range v.Bad {
			bad[server] = true
		}
	}
	return bad, nil
}

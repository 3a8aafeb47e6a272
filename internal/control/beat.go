package control

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"lvs-agents/internal/state"
	"lvs-agents/internal/state/record"
)

// Beat is what a daemon leaves in a file every second, for those who get no
// answer from it any more: it is stopped, hangs, or has ended.
type Beat struct {
	Age   time.Duration // of the older of its loops
	Limit time.Duration // an age above it means that the daemon does not work
	Bad   []string      // real servers with that verdict, as record.Server calls them
}

const beatSuffix = ".beat"

// beatFile has the time since boot at which the loops had turned and the limit,
// both in seconds, and a line for each bad server.
func beatFile(stateDir, id string) string { return filepath.Join(Dir(stateDir), Name(id)+beatSuffix) }

// Save replaces the beat of a daemon.
func (b Beat) Save(stateDir, id string) error {
	text := fmt.Sprintf("%.3f %.3f\n", (record.SinceBoot() - b.Age).Seconds(), b.Limit.Seconds())
	for _, server := range b.Bad {
		text += server + "\n"
	}
	return state.Write(beatFile(stateDir, id), text)
}

// readBeat returns a beat with its present age.
func readBeat(path string) (Beat, error) {
	text, err := state.Read(path)
	if err != nil {
		return Beat{}, err
	}
	beat, err := parseBeat(text)
	if err != nil {
		return Beat{}, fmt.Errorf("%s: %w", path, err)
	}
	return beat, nil
}

func parseBeat(text string) (Beat, error) {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	var at, limit float64
	if _, err := fmt.Sscan(lines[0], &at, &limit); err != nil {
		return Beat{}, err
	}
	return Beat{Age: record.SinceBoot() - seconds(at), Limit: seconds(limit), Bad: lines[1:]}, nil
}

func seconds(n float64) time.Duration { return time.Duration(n * float64(time.Second)) }

// Pulse judges by its beat a daemon that does not answer: nil while its loops are
// young, since a machine may be busy for a while.
func Pulse(stateDir, id string, pid int) error {
	beat, err := readBeat(beatFile(stateDir, id))
	if err != nil {
		return err
	}
	return Snapshot{PID: pid, LoopAge: beat.Age.Seconds(), Limit: beat.Limit.Seconds()}.Alive()
}

// LastBad returns the real servers that a daemon of this node, which may have
// ended, found bad within the last while.
func LastBad(stateDir string, within time.Duration) (map[string]bool, error) {
	entries, err := os.ReadDir(Dir(stateDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	bad := map[string]bool{}
	for _, entry := range entries {
		if !strings.HasSuffix(entry.Name(), beatSuffix) || strings.HasPrefix(entry.Name(), ".") {
			continue
		}
		beat, err := readBeat(filepath.Join(Dir(stateDir), entry.Name()))
		if err != nil {
			return nil, err
		}
		if beat.Age < 0 || beat.Age > within {
			continue // of another boot, or too old to mean anything
		}
		for _, server := range beat.Bad {
			bad[server] = true
		}
	}
	return bad, nil
}

package control

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lvs-agents/internal/state"
)

func keeper(t *testing.T) (dir string, k *Keeper) {
	t.Helper()
	dir = stateDir(t)
	if err := os.MkdirAll(state.DaemonDir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir, NewKeeper(dir, "web")
}

func keep(t *testing.T, k *Keeper, events ...Event) {
	t.Helper()
	for _, e := range events {
		if err := k.Keep(e); err != nil {
			t.Error(err)
		}
	}
}

// wantPast checks the kinds of the kept events.
func wantPast(t *testing.T, dir string, f Filter, want ...string) {
	t.Helper()
	past, err := Past(dir, "web", f)
	if err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for _, e := range past {
		kinds = append(kinds, e.Kind)
	}
	if diff := cmp.Diff(want, kinds); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestKeptEventsCanBeReadAgain(t *testing.T) {
	dir, k := keeper(t)
	wantPast(t, dir, Filter{})
	weight := 3
	e := Event{Time: time.Unix(1, 2).UTC(), Kind: "server_up", Service: web4, Server: rs4, To: &weight, Reason: "a\nb"}
	keep(t, k, e, Event{Kind: "service_empty", Service: "-f 7"})
	past, err := Past(dir, "web", Filter{Service: "192.0.2.10:80"})
	e.Daemon = "web"
	if diff := cmp.Diff([]Event{e}, past); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if ids, err := KeptIDs(dir); err != nil || cmp.Diff([]string{"web"}, ids) != "" {
		t.Errorf("%v, %v", ids, err)
	}
	if _, err := Past(dir, "web", Filter{Service: "x"}); err == nil {
		t.Error("a wrong filter was accepted")
	}
}

// TestTornEventLosesNoOther checks the file after a process ended in the middle of a write, or
// after the disk was full.
func TestTornEventLosesNoOther(t *testing.T) {
	dir, k := keeper(t)
	keep(t, k, Event{Kind: "first"})
	file, err := os.OpenFile(EventsPath(dir, "web"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = file.WriteString(`{"time":"2026-01-02T03:04:05Z","kind":"to`) // the next line fails if this write fails
	_ = file.Close()
	wantPast(t, dir, Filter{}, "first")
	keep(t, k, Event{Kind: "second"})
	wantPast(t, dir, Filter{}, "first", "second")
}

func TestKeptEventsAreBounded(t *testing.T) {
	dir, k := keeper(t)
	k.size = 1000
	var parts sync.WaitGroup
	for n := range 4 {
		parts.Go(func() {
			for i := range 100 {
				keep(t, k, Event{Kind: fmt.Sprint(n, " ", i)})
			}
		})
	}
	parts.Wait()
	keep(t, k, Event{Kind: "last"})
	past, err := Past(dir, "web", Filter{})
	if err != nil || len(past) < 30 || len(past) > 101 || past[len(past)-1].Kind != "last" {
		t.Errorf("%d events, %v", len(past), err)
	}
	for _, path := range []string{EventsPath(dir, "web"), EventsPath(dir, "web") + ".1"} {
		if info, err := os.Stat(path); err != nil || info.Size() > 1100 || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", path, info, err)
		}
	}
}

func TestEventThatCannotBeKeptIsAnError(t *testing.T) {
	dir, k := keeper(t)
	if err := os.Remove(state.DaemonDir(dir)); err != nil {
		t.Fatal(err)
	}
	if err := k.Keep(Event{Kind: "lost"}); err == nil || !strings.HasPrefix(err.Error(), "keeping an event: ") {
		t.Errorf("got %v", err)
	}
	if err := os.MkdirAll(state.DaemonDir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	keep(t, k, Event{Kind: "kept"})
	wantPast(t, dir, Filter{}, "kept")
	if err := os.Remove(EventsPath(dir, "web")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(dir, "elsewhere"), EventsPath(dir, "web")); err != nil {
		t.Fatal(err)
	}
	if err := k.Keep(Event{Kind: "link"}); err == nil {
		t.Error("the keeper follows a link")
	}
}

// TestGroupOfTheViewReadsKeptEvents checks the mode of the file if the directory for other users
// exists.
func TestGroupOfTheViewReadsKeptEvents(t *testing.T) {
	dir, k := keeper(t)
	if err := os.Mkdir(viewDir(dir), 0o750); err != nil {
		t.Fatal(err)
	}
	keep(t, k, Event{Kind: "one"})
	if info, err := os.Stat(EventsPath(dir, "web")); err != nil || info.Mode() != fs.FileMode(0o640) {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

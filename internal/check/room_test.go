package check

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"
)

func TestRoomForPrograms(t *testing.T) {
	tests := []struct {
		name  string
		files map[string]string
		want  int
	}{
		{"no groups", nil, 1000},
		{"no limit", map[string]string{"proc/self/cgroup": "0::/a", "sys/fs/cgroup/a/pids.max": "max"}, 1000},
		{"a unit", map[string]string{"proc/self/cgroup": "0::/system.slice/directord@web.service\n", "sys/fs/cgroup/system.slice/directord@web.service/pids.max": "400\n"}, 100},
		{"the group above", map[string]string{"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/pids.max": "800\n", "sys/fs/cgroup/a/pids.max": "80\n"}, 20},
		{"a container", map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/pids.max": "200\n"}, 50},
		{"the first version", map[string]string{"proc/self/cgroup": "9:name=systemd:/a\n8:pids:/a\n0::/a\n", "sys/fs/cgroup/pids/a/pids.max": "200\n"}, 50},
		{"hardly any", map[string]string{"proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/pids.max": "10\n"}, 16},
	}
	for _, tt := range tests {
		root := fstest.MapFS{}
		for name, text := range tt.files {
			root[name] = &fstest.MapFile{Data: []byte(text)}
		}
		if got := room(pidsMax(root)); got != tt.want {
			t.Errorf("%s: got %d, want %d", tt.name, got, tt.want)
		}
	}
}

// TestProgramWithoutRoom is this host's trouble, also when there is some at last but
// not for long.
func TestProgramWithoutRoom(t *testing.T) {
	programs, err := NewPrograms(os.Environ())
	if err != nil {
		t.Fatal(err)
	}
	programs.room = make(chan struct{}, 1)
	path := script(t, "sleep 100")
	const want = "no room in time beside 1 other programs: resource temporarily unavailable"
	judge := func(name string, err error, server string) {
		t.Helper()
		if err == nil || err.Error() != server+": "+want || !errors.Is(err, syscall.EAGAIN) {
			t.Errorf("%s: got  %v\nwant %s: %s", name, err, server, want)
		}
	}
	if _, err := programs.enter(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	judge("never", External{Program: path, Programs: programs}.Check(ctx), path)
	target := Target{Login: "a", Database: "b", Helper: path, Programs: programs, Source: anywhere{}}
	judge("oracle", negotiation(t, "oracle", target).Check(ctx), fmt.Sprintf("oracle %s", target.Addr))

	ctx, cancel = context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	time.AfterFunc(100*time.Millisecond, programs.leave)
	judge("late", External{Program: path, Programs: programs}.Check(ctx), path)
	if err := (External{Program: "/bin/true", Programs: programs}).Check(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestWaitingForRoom(t *testing.T) {
	for wait, want := range map[time.Duration]string{0: "false <nil>", 400 * time.Millisecond: "false <nil>", 600 * time.Millisecond: "true <nil>",
		10 * time.Second: "true no room in time beside 1 other programs: resource temporarily unavailable"} {
		synctest.Test(t, func(t *testing.T) {
			programs := &Programs{room: make(chan struct{}, 1)}
			programs.room <- struct{}{}
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			time.AfterFunc(wait, programs.leave)
			long, err := programs.enter(ctx)
			if got := fmt.Sprint(long, err); got != want {
				t.Errorf("%v: got %s, want %s", wait, got, want)
			}
		})
	}
}

func TestWaitingForProgramsTakesNoThreads(t *testing.T) {
	const many = 50
	threads := func() int {
		tasks, err := os.ReadDir("/proc/self/task")
		if err != nil {
			t.Fatal(err)
		}
		return len(tasks)
	}
	before := threads()
	pids := filepath.Join(t.TempDir(), "pids")
	path := script(t, "echo >>"+pids+"; exec sleep 100")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var all sync.WaitGroup
	for range many {
		all.Go(func() { _ = External{Program: path}.Check(ctx) }) // no end in time
	}
	for started := 0; started < many; {
		text, _ := os.ReadFile(pids) // it is not there at first
		started = len(text)
	}
	if more := threads() - before; more > many/2 {
		t.Errorf("%d threads more for %d programs", more, many)
	}
	cancel()
	all.Wait()
}

package program

import (
	"context"
	"errors"
	"fmt"
	"os"
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
		if got := limit(pidsMax(root)); got != tt.want {
			t.Errorf("%s: got %d, want %d", tt.name, got, tt.want)
		}
	}
}

// TestSessionWithoutRoom checks the error of a session that waits because too many sessions run.
// The error blames this host, even if the session starts late and then misses its deadline.
func TestSessionWithoutRoom(t *testing.T) {
	programs, err := New(os.Environ(), 1)
	if err != nil {
		t.Fatal(err)
	}
	path := script(t, "sleep 100")
	const want = "not started in time, because 1 other programs are running: resource temporarily unavailable"
	judge := func(name string, err error) {
		t.Helper()
		if err == nil || err.Error() != want || !errors.Is(err, syscall.EAGAIN) {
			t.Errorf("%s: got  %v\nwant %s", name, err, want)
		}
	}
	if _, err := programs.enter(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	judge("never", run(ctx, programs, path))

	ctx, cancel = context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	time.AfterFunc(100*time.Millisecond, programs.leave)
	judge("late", run(ctx, programs, path))
	if err := run(t.Context(), programs, "/bin/true"); err != nil {
		t.Error(err)
	}
}

func TestWaitingForRoom(t *testing.T) {
	for wait, want := range map[time.Duration]string{0: "false <nil>", 400 * time.Millisecond: "false <nil>", 600 * time.Millisecond: "true <nil>",
		10 * time.Second: "true not started in time, because 1 other programs are running: resource temporarily unavailable"} {
		synctest.Test(t, func(t *testing.T) {
			programs := &Set{room: make(chan struct{}, 1)}
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

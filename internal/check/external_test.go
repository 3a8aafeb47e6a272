package check

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestExternal(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "check")
	script := `#!/bin/sh
case $1 in
good) exit 0 ;;
args) [ "$*" = "args 192.0.2.10 80 192.0.2.21 8080" ] ;;
bad) echo first; echo "no answer from $2" >&2; exit 3 ;;
signal) kill -KILL $$ ;;
slow) sleep 60 & wait ;;
loud) yes | head -c 1000000; exit 1 ;;
esac
`
	if err := os.WriteFile(program, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	tests := []struct{ args, want string }{
		{"good", ""},
		{"args 192.0.2.10 80 192.0.2.21 8080", ""},
		{"args 192.0.2.10", "check: exit status 1"},
		{"bad 192.0.2.21", "check: exit status 3: no answer from 192.0.2.21"},
		{"signal", "check: signal: killed"},
		{"loud", "check: exit status 1: y"},
		{"slow", "check: no answer in time"},
	}
	for _, tt := range tests {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		if tt.args == "slow" {
			ctx, cancel = context.WithTimeout(t.Context(), 100*time.Millisecond)
		}
		began, got := time.Now(), ""
		if err := (External{program, strings.Fields(tt.args)}).Check(ctx); err != nil {
			got = strings.TrimPrefix(err.Error(), dir+"/")
		}
		cancel()
		if got != tt.want || time.Since(began) > 20*time.Second {
			t.Errorf("%s after %v:\ngot  %s\nwant %s", tt.args, time.Since(began), got, tt.want)
		}
	}
	if err := (External{Program: dir + "/none"}).Check(t.Context()); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Error(err)
	}
}

// results is a check with given results, then good.
type results struct {
	name  string
	errs  []error
	calls *string
}

func (r *results) Check(context.Context) error {
	*r.calls += r.name
	if len(r.errs) == 0 {
		return nil
	}
	err := r.errs[0]
	r.errs = r.errs[1:]
	return err
}

func TestCombined(t *testing.T) {
	bad := errors.New("bad")
	tests := []struct {
		name        string
		times       int
		full, cheap []error
		want        string
	}{
		{"all good", 2, nil, nil, "FccFccFcc"},
		{"none", 0, nil, nil, "FFFFFFFFF"},
		{"full fails", 2, []error{bad, bad}, nil, "FFFccFccF"},
		{"cheap fails", 2, nil, []error{bad}, "FcFccFccF"},
	}
	for _, tt := range tests {
		calls := ""
		c := &Combined{Full: &results{"F", tt.full, &calls}, Cheap: &results{"c", tt.cheap, &calls}, Times: tt.times}
		for range 9 {
			_ = c.Check(t.Context()) // the order is what counts
		}
		if calls != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, calls, tt.want)
		}
	}
}

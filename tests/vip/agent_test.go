package vip

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lvs-agents/internal/kernel/kerneltest"
)

// agent is the built agent vip, with a separate state directory for the test.
type agent struct{ path, state string }

func newAgent(t *testing.T) agent {
	t.Helper()
	path, err := filepath.Abs("../../bin/vip")
	if err == nil {
		_, err = os.Stat(path)
	}
	if err != nil {
		kerneltest.Need(t, fmt.Sprintf("%v; make build", err))
	}
	return agent{path, t.TempDir()}
}

// run runs an action of vip in the network namespace of the calling goroutine, and returns the exit
// code and the output. A word NAME=value with a name in lower case is a parameter, any other word
// an environment variable.
func (a agent) run(t *testing.T, action string, words ...string) (code int, output string) {
	t.Helper()
	environ := []string{"OCF_RESOURCE_INSTANCE=web", "LVS_AGENTS_STATE_DIR=" + a.state + "/lvs-agents"}
	for _, word := range words {
		if word[0] >= 'a' && word[0] <= 'z' {
			word = "OCF_RESKEY_" + word
		}
		environ = append(environ, word)
	}
	return a.exec(t, environ, action)
}

// exec runs an action of vip with exactly this environment.
func (a agent) exec(t *testing.T, environ []string, action string) (code int, output string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, a.path, action)
	cmd.WaitDelay = 5 * time.Second
	cmd.Env = environ
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if err != nil && !errors.As(err, new(*exec.ExitError)) {
		t.Fatalf("%s: %v", action, err)
	}
	return cmd.ProcessState.ExitCode(), out.String()
}

func (a agent) must(t *testing.T, want int, action string, words ...string) string {
	t.Helper()
	code, out := a.run(t, action, words...)
	if code != want {
		t.Fatalf("%s %s: got %d, want %d\n%s\n%s", action, strings.Join(words, " "), code, want, out, kerneltest.Run(t, "ip -o addr show"))
	}
	return out
}

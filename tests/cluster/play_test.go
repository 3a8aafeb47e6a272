package cluster

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lvs-agents/tests/lab"
)

var play = flag.String("play", "", "directory where tests/lab/on puts commands; TestPlay runs them until -minutes are over")
var minutes = flag.Int("minutes", 60, "how long TestPlay runs")

// TestPlay boots four machines and a client where nothing is configured, as TestPages does. Then it
// runs the commands that tests/lab/on puts into the directory of -play. Without -play it does
// nothing.
func TestPlay(t *testing.T) {
	if *play == "" {
		return
	}
	lab.Require(t, "corosync", "pacemakerd", "crm", "nginx", "ipvsadm", "curl")
	topology := lab.NewTopology(t)
	p := player{reader{topology.Host("client"), map[string]*lab.Node{}}, *play}
	machines := lab.StartMachines(t, topology, lab.Options{Root: installed(t)})
	for _, name := range []string{"director1", "director2", "rs1", "rs2"} {
		p.nodes[name] = machines.Node(name)
	}
	fmt.Printf("ready: tests/lab/on %s HOST COMMAND, HOST is one of director1, director2, rs1, rs2, client\n", *play)
	ctx, cancel := context.WithTimeout(t.Context(), time.Duration(*minutes)*time.Minute)
	defer cancel()
	look := time.NewTicker(100 * time.Millisecond)
	defer look.Stop()
	for ctx.Err() == nil {
		requests, err := filepath.Glob(filepath.Join(*play, "*.request"))
		if err != nil {
			t.Fatal(err)
		}
		for _, request := range requests {
			p.answer(t, strings.TrimSuffix(request, ".request"))
		}
		select {
		case <-look.C:
		case <-ctx.Done():
		}
	}
}

// player runs the commands that tests/lab/on writes into files of the directory dir.
type player struct {
	reader

	dir string
}

// answer runs the command of one request. The first line of the file path.request is the host and
// the rest is the command. answer writes the output to path.output, then the exit status to
// path.status.
func (p player) answer(t *testing.T, path string) {
	t.Helper()
	text, err := os.ReadFile(path + ".request")
	if err != nil {
		t.Fatal(err)
	}
	host, command, _ := strings.Cut(string(text), "\n")
	out, status := p.shell(t, host, strings.TrimSpace(command))
	for _, file := range []struct{ suffix, text string }{{".output", out}, {".part", fmt.Sprintln(status)}} {
		if err := os.WriteFile(path+file.suffix, []byte(file.text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Remove(path+".request"), os.Rename(path+".part", path+".status")); err != nil {
		t.Fatal(err)
	}
}

// shell runs a command on a host, and returns the output and the exit status. A host that was reset
// boots before its next command.
func (p player) shell(t *testing.T, host, command string) (out string, status int) {
	t.Helper()
	node := p.nodes[host]
	switch {
	case command == reset && node != nil:
		node.Kill(t)
		return "", 0
	case node == nil && host != "client":
		return fmt.Sprintf("unknown host %q\n", host), 125
	}
	shell := &p.client.Shell
	if node != nil {
		if !node.Running() {
			node.Restart(t)
		}
		shell = &node.Shell
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var all bytes.Buffer
	cmd := shell.Command(ctx, "sh", "-c", command)
	cmd.Stdout, cmd.Stderr = &all, &all
	var exit *exec.ExitError
	if err := cmd.Run(); errors.As(err, &exit) {
		return all.String(), exit.ExitCode()
	} else if err != nil {
		return all.String() + err.Error() + "\n", 125
	}
	return all.String(), 0
}

// Package clustertools tests installed copies of the agents with the programs of administrators and
// clusters: ocf-tester, crm, pcs, crm_resource, xmllint, man. It needs root and the programs of
// tests/install, but no IPVS. The tests run in new namespaces.
package clustertools

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lvs-agents/tests/lab"
)

const agentDir = "/usr/lib/ocf/resource.d/lvs"

func TestMain(m *testing.M) { os.Exit(lab.Sandbox(m, furnish)) }

// furnish prepares the new namespaces. It installs the agents at their usual paths, next to the
// agents of other providers, and creates the network interface.
func furnish() error {
	const script = `
set -e
mount -t tmpfs -o mode=755 tools /mnt
mkdir /mnt/ocf /mnt/run
cp -a /usr/lib/ocf/. /mnt/ocf/
mkdir -p /mnt/ocf/resource.d/lvs
cp "$1"/* /mnt/ocf/resource.d/lvs/
mount --bind /mnt/ocf /usr/lib/ocf
mkdir -p /run/lvs-agents
mount -t tmpfs -o mode=755 state /run/lvs-agents
ip link add eth0 type veth peer name cable
ip link set cable up
ip link set eth0 up
ip addr add 192.0.2.11/24 dev eth0
ip addr add 2001:db8::11/64 dev eth0 nodad
`
	staging, err := os.MkdirTemp("", "agents")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(staging) }()
	for _, agent := range agents() {
		binary, err := os.ReadFile(filepath.Join("../../bin", agent))
		if err != nil {
			return fmt.Errorf("%w; run make build", err)
		}
		if err := os.WriteFile(filepath.Join(staging, agent), binary, 0o755); err != nil {
			return err
		}
	}
	out, err := exec.Command("sh", "-c", script, "furnish", staging).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// agents returns the names of our agents. Each agent has a directory in agents/ and a binary of the
// same name.
func agents() []string {
	entries, err := os.ReadDir("../../agents")
	if err != nil {
		panic(err)
	}
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

// command runs a program and returns its standard output and standard error as one text.
func command(t *testing.T, name string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func mustCommand(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := command(t, name, args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return out
}

// asNobody runs a shell command as an unprivileged user without other groups, and returns the
// command's output.
func asNobody(t *testing.T, script string) string {
	t.Helper()
	return mustCommand(t, "setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "sh", "-c", script)
}

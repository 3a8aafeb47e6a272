package vip

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"os/exec"

	"lvs-agents/internal/kernel/kerneltest"
)

// suites is the directory where the package resource-agents installs ClusterLabs' test cases. ocft,
// the program for these cases, checks only once a second whether an action has ended. So this
// package parses and runs the cases itself, as the README of ocft describes. "make soak" runs the
// cases with ocft.
const suites = "/usr/share/resource-agents/ocft/configs"

// codes maps the names of exit codes in the cases to numbers.
var codes = map[string]int{
	"OCF_SUCCESS": 0, "OCF_ERR_GENERIC": 1, "OCF_ERR_ARGS": 2, "OCF_ERR_UNIMPLEMENTED": 3,
	"OCF_ERR_PERM": 4, "OCF_ERR_INSTALLED": 5, "OCF_ERR_CONFIGURED": 6, "OCF_NOT_RUNNING": 7,
}

// decided lists the cases where vip intentionally returns another exit code than IPaddr2. If the
// interface does not exist on the node, vip returns 5. After 6, the cluster would stop the resource
// on every node.
var decided = map[string]map[string]int{
	"IPaddr2": {"check base env: set invalid 'OCF_RESKEY_nic'": 5},
}

// suite is one file with ClusterLabs' cases.
type suite struct {
	variables []string // NAME=value
	setup     []string // shell commands
	blocks    map[string][]string
	cases     []testCase
}

type testCase struct {
	name  string
	lines []string
}

func readSuite(t *testing.T, name string) suite {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(suites, name))
	if err != nil {
		kerneltest.Need(t, err.Error())
	}
	s := suite{blocks: map[string][]string{}}
	section, block := "", ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		word, rest, _ := strings.Cut(line, " ")
		switch word {
		case "CONFIG", "VARIABLE", "SETUP-AGENT", "CLEANUP-AGENT":
			section = word
		case "CASE-BLOCK":
			section, block = word, rest
		case "CASE":
			section = word
			s.cases = append(s.cases, testCase{name: strings.Trim(rest, `"`)})
		default:
			s.add(section, block, line)
		}
	}
	if len(s.cases) == 0 {
		t.Fatalf("no case in %s", name)
	}
	return s
}

func (s *suite) add(section, block, line string) {
	switch section {
	case "VARIABLE":
		s.variables = append(s.variables, line)
	case "SETUP-AGENT":
		s.setup = append(s.setup, line)
	case "CASE-BLOCK":
		s.blocks[block] = append(s.blocks[block], line)
	case "CASE":
		last := &s.cases[len(s.cases)-1]
		last.lines = append(last.lines, line)
	}
}

// host is where one case runs: its shell variables, and the network namespace of the calling
// goroutine.
type host struct {
	agent
	suite
	environ map[string]string
	verdict map[string]int // exit code of vip, by case, where IPaddr2 returns 6
	name    string
}

// newHost creates the interfaces eth0 and eth1, and runs the setup commands of the suite.
func newHost(t *testing.T, s suite, name string) host {
	t.Helper()
	kerneltest.Namespace(t)
	kerneltest.NewPeer(t, "eth0")
	kerneltest.NewPeer(t, "eth1")
	h := host{newAgent(t), s, map[string]string{}, nil, name}
	for _, variable := range s.variables {
		name, value, _ := strings.Cut(variable, "=")
		h.environ[name] = h.expand(value)
	}
	for _, command := range s.setup {
		h.shell(t, command)
	}
	return h
}

func (h host) expand(text string) string {
	return os.Expand(text, func(name string) string { return h.environ[name] })
}

// list returns the shell variables as environment variables, NAME=value.
func (h host) list() []string {
	list := []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "OCF_RESOURCE_INSTANCE=ocft", "HA_RSCTMP=" + h.state, "LVS_AGENTS_STATE_DIR=" + h.state + "/lvs-agents", "OCF_RA_VERSION_MAJOR=1"}
	for name, value := range h.environ {
		list = append(list, name+"="+value)
	}
	return list
}

func (h host) shell(t *testing.T, command string) {
	t.Helper()
	cmd := exec.Command("bash", "-c", command)
	cmd.Env = h.list()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%s: %v: %s\n%s", command, err, out, kerneltest.Run(t, "ip -o addr show"))
	}
}

// step runs one line of a case.
func (h host) step(t *testing.T, line string) {
	t.Helper()
	command, rest, _ := strings.Cut(line, " ")
	switch command {
	case "Include":
		for _, line := range h.blocks[rest] {
			h.step(t, line)
		}
	case "Env":
		rest, _, _ = strings.Cut(rest, " #")
		name, value, _ := strings.Cut(rest, "=")
		h.environ[name] = h.expand(value)
	case "Unenv":
		delete(h.environ, rest)
	case "Bash":
		h.shell(t, rest)
	case "AgentRun":
		h.agentRun(t, strings.Fields(rest))
	default:
		t.Fatalf("unknown ocft command %q", command)
	}
}

// agentRun runs an action of the agent. If the line of the case names an exit code, the action must
// return that code. Without a code, agentRun runs start or stop only if the resource is not yet in
// that state.
func (h host) agentRun(t *testing.T, words []string) {
	t.Helper()
	action := words[0]
	if len(words) == 1 {
		if code, _ := h.exec(t, h.list(), "monitor"); action == "start" && code == 0 || action == "stop" && code == 7 {
			return
		}
		words = append(words, "OCF_SUCCESS")
	}
	want, known := codes[words[1]]
	if !known {
		t.Fatalf("unknown exit code %q", words[1])
	}
	if verdict, ok := h.verdict[h.name]; ok && want == 6 {
		want = verdict
		if action == "validate-all" { // at level 0, validate-all does not check the node
			want = 0
		}
	}
	if code, out := h.exec(t, h.list(), action); code != want {
		t.Errorf("%s: got %d, want %d: %s", action, code, want, out)
	}
}

// TestCasesOfIPaddr2 runs every case that ClusterLabs has for IPaddr2, with vip.
func TestCasesOfIPaddr2(t *testing.T) {
	for _, name := range []string{"IPaddr2", "IPaddr2v4", "IPaddr2v6"} {
		s := readSuite(t, name)
		for n, c := range s.cases {
			t.Run(fmt.Sprintf("%s/%d %s", name, n, c.name), func(t *testing.T) {
				h := newHost(t, s, c.name)
				h.verdict = decided[name]
				for _, line := range c.lines {
					h.step(t, line)
				}
			})
		}
	}
}

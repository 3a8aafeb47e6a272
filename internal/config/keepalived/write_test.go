package keepalived

import (
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lvs-agents/internal/config"
)

// chosen are the statements that Write adds, because keepalived wants them.
var chosen = regexp.MustCompile(`^(virtual_router_id|lvs_sync_daemon|script_user|enable_script_security)\b`)

// TestWrittenFilesHaveTheSameMeaning writes each file of testdata. Write itself compares the
// meaning. A second write gives the same text.
func TestWrittenFilesHaveTheSameMeaning(t *testing.T) {
	files, err := filepath.Glob("testdata/*.conf")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			cfg, problems := Parse("keepalived.conf", text)
			if cfg == nil {
				t.Fatal(problems)
			}
			once, problems := Write(cfg, true)
			for _, p := range problems {
				if p.Severity != config.Warning {
					t.Errorf("%s: %s", p.Severity, p)
				}
			}
			again, problems := Parse("keepalived.conf", []byte(once))
			if again == nil {
				t.Fatal(problems, once)
			}
			for _, p := range problems {
				if p.Severity == config.Repaired || p.Severity == config.Dropped && !chosen.MatchString(p.What) {
					t.Errorf("%s: %s", p.Severity, p)
				}
			}
			if twice, _ := Write(again, true); twice != once {
				t.Errorf("(-once +twice):\n%s", cmp.Diff(once, twice))
			}
			if t.Failed() {
				t.Log(strings.TrimSpace(once))
			}
		})
	}
}

// TestEveryKeywordIsInTestdata checks that the files of testdata have each keyword of the grammar
// in its block, except the keywords that read other files.
func TestEveryKeywordIsInTestdata(t *testing.T) {
	files, err := filepath.Glob("testdata/*.conf")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	var note func(s *statement)
	note = func(s *statement) {
		for _, inner := range s.body {
			seen[s.block+" "+inner.key()] = true
			note(inner)
		}
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		p := &parser{config: &config.Config{Cluster: &config.Cluster{}}}
		note(p.read(string(text)))
	}
	for block, keywords := range newGrammar() {
		for keyword := range keywords {
			if !seen[block+" "+keyword] && !strings.HasPrefix(keyword, "include") {
				t.Errorf("no file has %s in the block %s", keyword, block)
			}
		}
	}
}

// pair has two groups, each with another preferred director.
func pair(stays bool) *config.Config {
	nodes := []config.Node{
		{Name: "192.0.2.2", Links: []netip.Addr{netip.MustParseAddr("192.0.2.2")}},
		{Name: "192.0.2.3", Links: []netip.Addr{netip.MustParseAddr("192.0.2.3")}},
	}
	group := func(name, ip, node string, score int) config.Group {
		return config.Group{Name: name, Stays: stays, Preferences: []config.Preference{{Node: node, Score: score}},
			Addresses: []config.VirtualAddress{{IP: netip.MustParseAddr(ip), Bits: 24, NIC: "eth0"}}}
	}
	return &config.Config{File: "FILE", Cluster: &config.Cluster{Nodes: nodes, Groups: []config.Group{
		group("web", "192.0.2.10", "192.0.2.2", 150), group("mail", "192.0.2.11", "192.0.2.3", 1),
	}}}
}

// instances returns the states and priorities of a written file.
func instances(text string) string {
	var words []string
	for line := range strings.Lines(text) {
		switch key, value, _ := strings.Cut(strings.TrimSpace(line), " "); key {
		case "state", "priority", "unicast_src_ip":
			words = append(words, value)
		case "nopreempt":
			words = append(words, key)
		}
	}
	return strings.Join(words, " ")
}

// TestEachDirectorHasItsFile writes the files of both directors. The configuration that both files
// give together makes the same files again.
func TestEachDirectorHasItsFile(t *testing.T) {
	for _, tt := range []struct {
		stays bool
		want  [2]string
	}{
		{false, [2]string{"MASTER 150 192.0.2.2 BACKUP 1 192.0.2.2", "BACKUP 75 192.0.2.3 MASTER 2 192.0.2.3"}},
		{true, [2]string{"BACKUP 150 nopreempt 192.0.2.2 BACKUP 50 nopreempt 192.0.2.2", "BACKUP 75 nopreempt 192.0.2.3 BACKUP 101 nopreempt 192.0.2.3"}},
	} {
		var texts [2]string
		var read []*config.Config
		for i, node := range []string{"192.0.2.2", "192.0.2.3"} {
			text, problems := WriteFor(node, pair(tt.stays), true)
			if got := instances(text); got != tt.want[i] {
				t.Errorf("%s: got %s, want %s", node, got, tt.want[i])
			}
			other := []string{"192.0.2.3", "192.0.2.2"}[i]
			if got, want := lastWarning(problems), "FILE: the director "+other+" needs its own keepalived.conf; write it with --to=keepalived --node="+other; got != want {
				t.Errorf("%s: got %s, want %s", node, got, want)
			}
			cfg, problems := Parse("keepalived.conf", []byte(text))
			if cfg == nil {
				t.Fatal(problems)
			}
			texts[i], read = text, append(read, cfg)
		}
		if text, _ := Write(pair(tt.stays), true); text != texts[0] {
			t.Errorf("without a director:\n%s", cmp.Diff(texts[0], text))
		}
		both, _ := config.Merge(read...)
		for i, node := range []string{"192.0.2.2", "192.0.2.3"} {
			if again, problems := WriteFor(node, both, true); again != texts[i] {
				t.Errorf("%s (-once +twice):\n%s%v", node, cmp.Diff(texts[i], again), problems)
			}
		}
	}
	if text, problems := WriteFor("director9", pair(false), true); text != "" || len(problems) != 1 ||
		problems[0].String() != `FILE: the files have no director "director9"; give the name of --host, or of the files` {
		t.Error(text, problems)
	}
}

// lastWarning returns the last problem. A problem that is not a warning has its severity.
func lastWarning(problems []config.Problem) string {
	if len(problems) == 0 {
		return ""
	}
	last := problems[len(problems)-1]
	if last.Severity != config.Warning {
		return last.Severity.String() + " " + last.String()
	}
	return last.String()
}

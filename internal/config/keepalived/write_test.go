package keepalived

import (
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

package ldirectord

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lvs-agents/internal/config"
)

// TestWrittenFilesHaveTheSameMeaning writes every file of testdata that can be used, and the
// example of every directive. Write itself compares the meaning.
func TestWrittenFilesHaveTheSameMeaning(t *testing.T) {
	texts := map[string]string{}
	for _, d := range Directives() {
		texts["example of "+d.Name] = d.Example
	}
	err := filepath.WalkDir("testdata", func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && !strings.HasSuffix(path, ".golden") {
			texts[path] = string(file(t, path))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	written := 0
	for name, text := range texts {
		cfg, _ := Parse("web.cf", []byte(text))
		if cfg == nil {
			continue
		}
		written++
		once, problems := Write(cfg, true)
		for _, p := range problems {
			t.Errorf("%s: %s\n%s\nwritten:\n%s", name, p, text, once)
		}
		again, _ := Parse("web.cf", []byte(once))
		if again == nil {
			continue
		}
		if twice, _ := Write(again, true); twice != once {
			t.Errorf("%s: not a fixed point:\n%s\n%s", name, once, twice)
		}
	}
	t.Logf("%d of %d texts", written, len(texts))
	if written < 60 {
		t.Errorf("only %d texts", written)
	}
}

func TestWriteHidesSecrets(t *testing.T) {
	cfg, found := Parse("web.cf", []byte("virtual=192.0.2.10:3306\n\treal=192.0.2.21 gate\n\tlogin=\"checker\"\n\tpasswd=\"pw-in-clear\"\n\tdatabase=\"x\"\n\trequest=\"SELECT 1\"\n"+
		"virtual=192.0.2.10:80\n\treal=192.0.2.21 gate 1 \"http://user:pw-in-clear@192.0.2.21/x\", \"OK\"\n\tservice=http\n"))
	if cfg == nil {
		t.Fatal(lines(found))
	}
	text, problems := Write(cfg, false)
	if strings.Contains(text, "pw-in-clear") || strings.Contains(text, "checker") || len(problems) != 1 {
		t.Errorf("%v\n%s", problems, text)
	}
	if text, problems = Write(cfg, true); !strings.Contains(text, `passwd="pw-in-clear"`) || !strings.Contains(text, "user:pw-in-clear@") || len(problems) != 0 {
		t.Errorf("%v\n%s", problems, text)
	}
}

// TestWriteKeepsPortZero checks a real server whose packets keep their port.
func TestWriteKeepsPortZero(t *testing.T) {
	cfg, found := Parse("web.cf", []byte("virtual=192.0.2.10:80\n\treal=192.0.2.21:0 masq\n"))
	if cfg == nil {
		t.Fatal(lines(found))
	}
	if text, problems := Write(cfg, true); !strings.Contains(text, "real=192.0.2.21:0 masq") || len(problems) != 0 {
		t.Errorf("%v\n%s", problems, text)
	}
}

func TestWriteReportsWhatTheFileCannotHave(t *testing.T) {
	cfg, _ := Parse("web.cf", []byte("virtual=192.0.2.10:80\n\treal=192.0.2.21 gate\n\treal=192.0.2.22 gate\n\tfallback=127.0.0.1 gate\n"))
	s := &cfg.Services[0]
	s.Reals[1].Checks = []config.Check{s.Reals[0].Checks[0], s.Reals[0].Checks[0]}
	s.Fallbacks = append(s.Fallbacks, s.Fallbacks[0])
	other := s.Reals[0].Checks[0]
	other.Interval *= 2
	s.Reals[0].Checks = []config.Check{other}
	_, problems := Write(cfg, true)
	want := `dropped: web.cf:1: ldirectord.cf cannot have the fallbacks of -t 192.0.2.10:80: only one is possible
dropped: web.cf:1: ldirectord.cf cannot have more than the first of 2 checks of the real servers of -t 192.0.2.10:80
`
	if got := lines(problems); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// Package configtest tests the readers of configurations.
package configtest

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lvs-agents/internal/config"
)

var update = flag.Bool("update", false, "write the expected files instead of comparing them")

// Parse reads a configuration, as the function of format.Format does.
type Parse func(name string, text []byte) (*config.Config, []config.Problem)

// Golden compares the configuration and the problems of each file that the pattern matches with the
// text in FILE.want. The configuration has passed Merge. If strict is not nil, the text ends with
// its first error.
func Golden(t *testing.T, pattern string, parse, strict Parse) {
	t.Helper()
	for _, file := range files(t, pattern) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := Describe(merged(parse("FILE", text)))
			if strict != nil {
				_, problems := strict("FILE", text)
				got += fmt.Sprintf("strict: %v\n", config.Err(problems))
			}
			Compare(t, file+".want", got)
		})
	}
}

func merged(c *config.Config, problems []config.Problem) (*config.Config, []config.Problem) {
	if c == nil {
		return nil, problems
	}
	c, more := config.Merge(c)
	return c, append(problems, more...)
}

func files(t testing.TB, pattern string) []string {
	t.Helper()
	all, err := filepath.Glob(pattern)
	if err != nil || len(all) == 0 {
		t.Fatalf("no file matches %s: %v", pattern, err)
	}
	return all
}

// Compare compares a text with the one in the file golden. With the flag -update, it writes the
// file.
func Compare(t testing.TB, golden, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Refusal is a text with the start of one of its errors. The name of the file is FILE.
type Refusal struct{ Text, Want string }

// Refused tests that parse refuses each text.
func Refused(t *testing.T, parse Parse, rows []Refusal) {
	t.Helper()
	for _, tt := range rows {
		c, problems := parse("FILE", []byte(tt.Text))
		found := slices.ContainsFunc(problems, func(p config.Problem) bool {
			return p.Severity == config.Error && strings.HasPrefix(p.String(), tt.Want)
		})
		if c != nil || !found {
			t.Errorf("%.200q:\ngot  %.1000s\nwant %s", tt.Text, Describe(c, problems), tt.Want)
		}
	}
}

// Fuzz tests the parsers with any text. It starts with the files that the pattern matches. A parser
// must not panic or hang. It returns a configuration or an error, and each problem has a text.
func Fuzz(f *testing.F, pattern string, parsers ...Parse) {
	f.Helper()
	for _, file := range files(f, pattern) {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, parse := range parsers {
			c, problems := parse("FILE", text)
			if (c == nil) != (config.Err(problems) != nil) {
				t.Errorf("configuration %v, problems %v", c, problems)
			}
			for _, p := range problems {
				if p.What == "" || p.Severity == 0 {
					t.Errorf("problem without text: %+v", p)
				}
			}
		}
	})
}

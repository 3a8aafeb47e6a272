package state

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// FuzzVerdicts reads any bytes as a verdict file.
func FuzzVerdicts(f *testing.F) {
	f.Add("123.456 10.000\n-t 192.0.2.10:80 192.0.2.21:80\n")
	f.Fuzz(func(t *testing.T, text string) {
		v, err := parseVerdicts(text)
		if err == nil && slices.Contains(v.Bad, "") && len(v.Bad) == 1 {
			t.Errorf("%q has a server without a name", text)
		}
	})
}

func TestLastBadIsOfEveryDaemonAndOfNoOtherBoot(t *testing.T) {
	dir := t.TempDir()
	for id, age := range map[string]time.Duration{"web": time.Second, "mail": 2 * time.Second, "old": time.Hour, "boot": -time.Hour} {
		must(t, Verdicts{Age: age, Limit: 10 * time.Second, Bad: []string{id + " a", id + " b"}}.Save(dir, id))
	}
	got, err := LastBad(dir, time.Minute)
	if err != nil || len(got) != 4 || !got["web a"] || !got["mail b"] {
		t.Errorf("%v, %v", got, err)
	}
	if bad, err := Bad(dir, "old"); err != nil || !bad["old a"] {
		t.Errorf("%v, %v", bad, err)
	}
	if bad, err := Bad(dir, "none"); err != nil || len(bad) > 0 {
		t.Errorf("%v, %v", bad, err)
	}
	path := filepath.Join(DaemonDir(dir), "broken.beat")
	write(t, path, "x\n")
	if _, err := LastBad(dir, time.Minute); err == nil || err.Error() != path+": strconv.ParseFloat: parsing \"\": invalid syntax" {
		t.Errorf("a file that is not one: %v", err)
	}
	must(t, os.Remove(path))
}

func TestNamesOfFiles(t *testing.T) {
	for id, want := range map[string][2]string{
		"web":    {"web", "web"},
		"web:0":  {"web:0", "web:0"},
		"a/b c%": {"a%2Fb%20c%25", "a_b c%"},
		".x":     {"%2Ex", ".x"},
	} {
		if got := [2]string{FileName(id), SocketName(id)}; got != want {
			t.Errorf("%s: got %q, want %q", id, got, want)
		}
	}
}

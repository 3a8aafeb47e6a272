package statetest

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"lvs-agents/internal/state"
)

// Versions are the earlier versions of our programs whose files Earlier can make. In each version,
// the same resources and the same daemon wrote the files. The ipvs resources are web and mail:0.
// The realserver resources are rs-web and rs "mail". The vip resource is vip/1. The health daemon
// web-health has a service without a resource.
var Versions = []string{"2026-11-21", "2026-11-28"}

// Earlier returns a state directory with the files that an earlier version wrote. The files look as
// if they were written a moment ago, in the network namespace of the calling process.
func Earlier(t testing.TB, version string) (dir string) {
	t.Helper()
	_, source, _, _ := runtime.Caller(0)
	here, err := state.Now()
	must(t, err)
	dir = t.TempDir()
	files := os.DirFS(filepath.Join(filepath.Dir(source), "testdata", version))
	must(t, fs.WalkDir(files, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := fs.ReadFile(files, path)
		must(t, err)
		to := filepath.Join(dir, strings.Replace(path, thereInode, here.Inode, 1))
		must(t, os.MkdirAll(filepath.Dir(to), 0o755))
		return os.WriteFile(to, []byte(moved(t, string(text), here)), 0o644)
	}))
	return dir
}

// thereInode is the inode number of the network namespace where the earlier version wrote the
// files.
const thereInode = "4026531833"

var (
	owner  = regexp.MustCompile(`(?m)^(# )?owner .*$`)
	cookie = regexp.MustCompile(`(?m)^(# )?cookie .*$`)
	sum    = regexp.MustCompile(`(?m)^(# )?sum .*\n`)
	age    = regexp.MustCompile(`^[0-9.]+ `)
)

// moved returns the text of a file as the earlier version would write it in this boot and network
// namespace.
func moved(t testing.TB, text string, here state.Here) string {
	t.Helper()
	if at := state.SinceBoot().Seconds(); age.MatchString(text) {
		return age.ReplaceAllString(text, fmt.Sprintf("%.3f ", at))
	}
	comment := ""
	if strings.Contains(text, "# owner ") {
		comment = "# "
	}
	body, err := state.Unseal(text, comment)
	must(t, err)
	body = owner.ReplaceAllString(body, "${1}owner "+here.Owner())
	body = cookie.ReplaceAllString(body, "${1}cookie "+here.Cookie)
	line := sum.FindString(text)
	if line == "" {
		return body
	}
	_, after, _ := strings.Cut(text, line)
	return state.Seal(body, comment) + after
}

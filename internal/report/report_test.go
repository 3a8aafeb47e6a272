package report

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestRedact(t *testing.T) {
	for text, want := range map[string]string{
		`<nvpair id="a" name="passwd" value="geheim"/>`:        `<nvpair id="a" name="passwd" value="***"/>`,
		`<nvpair value="geheim" id="a" name="ipmi_password"/>`: `<nvpair value="***" id="a" name="ipmi_password"/>`,
		`<nvpair id="a" name="ip" value="192.0.2.10"/>`:        `<nvpair id="a" name="ip" value="192.0.2.10"/>`,
		`{"login": "ge\"heim", "weight": 1}`:                   `{"login": "***", "weight": 1}`,
		"\tlogin = \"geheim\"\n\treal=192.0.2.21 gate\n":       "\tlogin = ***\n\treal=192.0.2.21 gate\n",
		"auth_pass geheim\nauth_type PASS\n":                   "auth_pass ***\nauth_type PASS\n",
		"params ip=192.0.2.10 passwd=\"ge heim\" op":           "params ip=192.0.2.10 passwd=*** op",
		"checkcommand=/usr/bin/check -u web -p geheim -t 3":    "checkcommand=/usr/bin/check -u web -p *** -t 3",
		"request=\"http://user:geheim@192.0.2.21/x\"":          "request=\"http://***@192.0.2.21/x\"",
		"1 sha1 geheim\n":                                             "1 sha1 ***\n",
		"escape \x1b[31m and \x00":                                    "escape \ufffd[31m and \ufffd",
		"ipvsadm -A -t 192.0.2.10:80 -s wlc -p 360":                   "ipvsadm -A -t 192.0.2.10:80 -s wlc -p 360",
		"Nov 29 03:00:01 director1 directord[1]: deleted real server": "Nov 29 03:00:01 director1 directord[1]: deleted real server",
	} {
		if got := Redact(text); got != want {
			t.Errorf("%q:\ngot  %q\nwant %q", text, got, want)
		}
	}
}

// TestArchive checks the content of an archive, the mode of its file, and that an existing file
// stays.
func TestArchive(t *testing.T) {
	var a Archive
	a.Add("status.json", []byte("{}\n"), nil)
	a.Add("cib.xml", nil, errors.New("no cluster"))
	a.Add("log.txt", []byte(strings.Repeat("x", most)+"end"), nil)
	path := filepath.Join(t.TempDir(), "report.tar.gz")
	if err := a.Write(path, "node", time.Unix(1700000000, 0)); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info, err)
	}
	got := content(t, path)
	got["node/log.txt"] = got["node/log.txt"][:20] + "..." + got["node/log.txt"][len(got["node/log.txt"])-4:]
	want := map[string]string{"node/status.json": "{}\n", "node/cib.xml": "error: no cluster\n", "node/log.txt": "(the first 3 bytes a...xend"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if err := a.Write(path, "node", time.Now()); !errors.Is(err, os.ErrExist) {
		t.Errorf("got %v", err)
	}
}

// content returns the files of an archive.
func content(t *testing.T, path string) map[string]string {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	zipped, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for r := tar.NewReader(zipped); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		text, errRead := io.ReadAll(r)
		if err != nil || errRead != nil {
			t.Fatal(err, errRead)
		}
		files[header.Name] = string(text)
	}
}

package main

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"lvs-agents/internal/kernel/capability"
)

// TestReport checks that a report has each part, an error for a part that is missing, and no
// password.
func TestReport(t *testing.T) {
	t.Chdir(t.TempDir())
	state := t.TempDir()
	if err := os.WriteFile(filepath.Join(state, "record"), []byte(`{"passwd":"geheim"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, errs strings.Builder
	sys := system{
		stdout: &out, stderr: &errs, stateDir: state, kernel: fakeKernel{}, cluster: newFakeCluster(t), director: &patient{}, doctor: &patient{}, node: healthy{},
		capable: capability.Kernel{Root: fstest.MapFS{}}, attributes: published{}, listen: silence,
		version: "1.2.3", host: "director1", now: func() time.Time { return time.Unix(1700000000, 0) },
		output: func(_ context.Context, name string, _ ...string) (string, error) {
			switch name {
			case "cibadmin":
				return `<nvpair name="passwd" value="geheim"/>`, nil
			case "nft":
				return "", errors.New("nft is not installed")
			}
			return name + " was here\n", nil
		},
	}
	if code := run(t.Context(), []string{"report"}, sys); code != 0 {
		t.Fatalf("exit code %d: %s", code, &errs)
	}
	const dir = "lvs-report-director1-20231114T221320Z"
	if !strings.HasPrefix(out.String(), "wrote "+dir+".tar.gz: ") {
		t.Error(out.String())
	}
	files := unpacked(t, dir+".tar.gz")
	for name, want := range map[string]string{
		"version.txt": "lvsctl 1.2.3", "cib.xml": `name="passwd" value="***"`, "nftables.txt": "error: nft is not installed",
		"cluster.txt": "crm_mon was here", "state/record": `{"passwd":"***"}`, "log.txt": "journalctl was here",
	} {
		if got := files[dir+"/"+name]; !strings.Contains(got, want) {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	for name, text := range files {
		if strings.Contains(text, "geheim") {
			t.Errorf("%s shows a password: %s", name, text)
		}
	}
	if code := run(t.Context(), []string{"report"}, sys); code != 1 || !strings.Contains(errs.String(), "file exists") {
		t.Errorf("exit code %d: %s", code, &errs)
	}
}

// unpacked returns the files of an archive.
func unpacked(t *testing.T, path string) map[string]string {
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

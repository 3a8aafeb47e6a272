package ipvs

import (
	"path/filepath"
	"testing"

	"lvs-agents/internal/config/load"
	"lvs-agents/internal/state/record"
)

// TestFileInTheRecord checks that the record has the path and the digest of the file which the last
// start or reload has read. With parameters, the record has none.
func TestFileInTheRecord(t *testing.T) {
	n := newNode(t)
	const first, second = "virtual=192.0.2.10:80\n\treal=192.0.2.21 gate\n", "virtual=192.0.2.10:80\n\treal=192.0.2.22 gate\n"
	store, err := record.In(n.state)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		text, action string
		params       []string
		want         string // want is the text whose digest the record has.
	}{
		{first, "start", []string{"config=web.cf"}, first},
		{second, "monitor", []string{"config=web.cf"}, first},
		{second, "reload-agent", []string{"config=web.cf"}, second},
		{second, "reload-agent", []string{"virtual=192.0.2.10:80", "real=192.0.2.21 gate"}, ""},
	} {
		n.write(t, "web.cf", step.text)
		n.mustRun(t, 0, "web", step.action, step.params...)
		r, err := store.Load("web")
		if err != nil {
			t.Fatal(err)
		}
		want := record.File{}
		if step.want != "" {
			want = record.File{Path: filepath.Join(n.config, "web.cf"), Digest: load.Digest([]byte(step.want))}
		}
		if r.File != want {
			t.Errorf("%s: got %v, want %v", step.action, r.File, want)
		}
	}
}

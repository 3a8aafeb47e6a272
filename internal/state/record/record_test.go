package record

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lvs-agents/internal/lvs"
	"lvs-agents/internal/state"
)

func open(t *testing.T, dir string) Store {
	t.Helper()
	s, err := In(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func webTable(t *testing.T) lvs.Table {
	t.Helper()
	parsed, err := lvs.ParseTable(web)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

const web = `-A -t 192.0.2.10:80 -s rr -p 600
-a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 1
-A -f 5 -6 -s mh -b mh-fallback
`

func TestRecordComesBackAsItWasSaved(t *testing.T) {
	s := open(t, t.TempDir())
	for _, id := range []string{"web", "web:0", "../../etc/passwd", ".", "a b%\n", strings.Repeat("x", 300), strings.Repeat("\u754c", 40)} {
		want := Record{ID: id, State: Running, Generation: 3, Services: webTable(t),
			File:     File{"/etc/ha.d/a \"b\".cf", "0123456789abcdef"},
			Withheld: []string{"-t 192.0.2.10:80 -r 192.0.2.21:80"},
			Removing: []lvs.ServiceID{lvs.MarkService(7, false), lvs.MarkService(7, true)}}
		if err := s.Save(want); err != nil {
			t.Fatal(err)
		}
		got, err := s.Load(want.ID)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want.Services.String(), got.Services.String()); diff != "" {
			t.Error(diff)
		}
		if !reflect.DeepEqual(want, got) {
			t.Errorf("got %+v, want %+v", got, want)
		}
		if filepath.Dir(s.Path(want.ID)) != s.dir {
			t.Errorf("%q is kept outside the directory: %s", id, s.Path(id))
		}
		if err := s.Remove(want.ID); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Load(want.ID); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("removed record: %v", err)
		}
		if err := s.Remove(want.ID); err != nil {
			t.Errorf("removing what is gone: %v", err)
		}
	}
}

func TestRecordOfAnotherBootOrNamespaceIsNone(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	for name, other := range map[string]Store{
		"boot":         {dir: s.dir, lock: s.lock, here: state.Here{Boot: "b", Inode: s.here.Inode, Cookie: s.here.Cookie}},
		"namespace":    {dir: s.dir, lock: s.lock, here: state.Here{Boot: s.here.Boot, Inode: "1", Cookie: s.here.Cookie}},
		"inode reused": {dir: s.dir, lock: s.lock, here: state.Here{Boot: s.here.Boot, Inode: s.here.Inode, Cookie: "0"}},
	} {
		if err := other.Save(Record{ID: "web", State: Running, Services: webTable(t)}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Load("web"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
		if others, _, err := s.Others("other"); err != nil || len(others) != 0 {
			t.Errorf("%s: %v %v", name, others, err)
		}
	}
}

func TestOthersAreAllRecordsButOne(t *testing.T) {
	s := open(t, t.TempDir())
	if others, _, err := s.Others("web"); err != nil || len(others) != 0 {
		t.Fatalf("no directory yet: %v %v", others, err)
	}
	for _, id := range []string{"web", "mail", "dns"} {
		if err := s.Save(Record{ID: id, State: Running, Services: webTable(t)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(s.Path("broken"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	others, damaged, err := s.Others("web")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{s.Path("broken")}, damaged); diff != "" {
		t.Error(diff)
	}
	var ids []string
	for _, r := range others {
		ids = append(ids, r.ID)
	}
	if diff := cmp.Diff([]string{"", "dns", "mail"}, ids); diff != "" {
		t.Error(diff)
	}
}

func TestDamagedRecordGivesWhatCanBeRead(t *testing.T) {
	s := open(t, t.TempDir())
	if err := s.Save(Record{ID: "web", State: Running, Services: webTable(t)}); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(s.Path("web"))
	if err != nil {
		t.Fatal(err)
	}
	for n := range whole {
		if err := os.WriteFile(s.Path("web"), whole[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Load("web"); !errors.Is(err, state.ErrDamaged) && n < len(whole)-1 {
			t.Fatalf("%d of %d bytes: %v", n, len(whole), err)
		}
	}
	cut, _, _ := strings.Cut(string(whole), " mh -b mh-fallback\n")
	if err := os.WriteFile(s.Path("web"), []byte(cut), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := s.Load("web")
	want := strings.Replace(web, "-A -f 5 -6 -s mh -b mh-fallback\n", "", 1)
	if !errors.Is(err, state.ErrDamaged) || got.Services.String() != want {
		t.Errorf("%v\n%s", err, got.Services)
	}
}

func TestChangedRecordIsDamaged(t *testing.T) {
	s := open(t, t.TempDir())
	if err := s.Save(Record{ID: "web", State: Running, Services: webTable(t)}); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(s.Path("web"))
	if err != nil {
		t.Fatal(err)
	}
	for before, after := range map[string]string{"-w 1": "-w 2", "-s rr": "-s wrr", "generation 0": "generation 1"} {
		changed := strings.Replace(string(text), before, after, 1)
		if err := os.WriteFile(s.Path("web"), []byte(changed), 0o644); err != nil {
			t.Fatal(err)
		}
		want := s.Path("web") + ": damaged record: a line was changed after it was written"
		if r, err := s.Load("web"); !errors.Is(err, state.ErrDamaged) || err.Error() != want || r.ID != "web" {
			t.Errorf("%s: got %v, want %s", after, err, want)
		}
	}
}

// TestRecordOfTheVersionBefore checks that Load reads a record of the first versions, which has
// neither a cookie nor a checksum.
func TestRecordOfTheVersionBefore(t *testing.T) {
	s := open(t, t.TempDir())
	if err := s.Save(Record{ID: "web", State: Running, Services: webTable(t)}); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(s.Path("web"))
	if err != nil {
		t.Fatal(err)
	}
	old := regexp.MustCompile(`(?m)^# (cookie|sum) .*\n`).ReplaceAllString(string(text), "")
	if err := os.WriteFile(s.Path("web"), []byte(old), 0o644); err != nil {
		t.Fatal(err)
	}
	if r, err := s.Load("web"); err != nil || r.Services.String() != web || strings.Contains(old, "cookie") {
		t.Errorf("%v\n%s", err, r.Services)
	}
}

func TestCopyOfARecordClaimsNothingAndIsNamed(t *testing.T) {
	s := open(t, t.TempDir())
	if err := s.Save(Record{ID: "web", State: Running, Services: webTable(t)}); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(s.Path("web"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.Path("web.bak"), text, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"web", "mail"} {
		others, damaged, err := s.Others(id)
		want := map[string]int{"web": 0, "mail": 1}[id]
		if err != nil || len(damaged) > 0 || len(others) != want {
			t.Errorf("for %s: %v %v %v", id, others, damaged, err)
		}
	}
	if got := s.Copies(); !slices.Equal(got, []string{s.Path("web.bak")}) {
		t.Errorf("copies: %q", got)
	}
}

func TestFileInThePlaceOfTheDirectoryHoldsNoRecord(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	if err := os.WriteFile(dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, dir).Load("web"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func TestPipeInThePlaceOfARecordIsDamage(t *testing.T) {
	s := open(t, t.TempDir())
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(s.Path("web"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Load("web"); !errors.Is(err, state.ErrDamaged) {
		t.Errorf("got %v", err)
	}
}

func BenchmarkLoad(b *testing.B) {
	text := "-A -t 192.0.2.10:80 -s rr\n"
	for n := range 10000 {
		text += fmt.Sprintf("-a -t 192.0.2.10:80 -r 10.0.%d.%d:80 -m -w 1\n", n/256, n%256)
	}
	services, err := lvs.ParseTable(text)
	if err != nil {
		b.Fatal(err)
	}
	s, err := In(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	if err := s.Save(Record{ID: "web", State: Running, Services: services}); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := s.Load("web"); err != nil {
			b.Fatal(err)
		}
	}
}

func FuzzParse(f *testing.F) {
	s := Store{here: state.Here{Boot: "b", Inode: "1", Cookie: "2"}}
	f.Add(s.format(Record{ID: "web", State: Running}))
	f.Add("# end")
	f.Fuzz(func(t *testing.T, text string) {
		r, _, err := parse(text)
		if err == nil {
			if again, _, err := parse(s.format(r)); err != nil || again.Services.String() != r.Services.String() {
				t.Errorf("%q: %v", text, err)
			}
		}
	})
}

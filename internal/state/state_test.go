package state

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
		t.Fatal(err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestWhatIsNotAFileOfOurs(t *testing.T) {
	for name, tt := range map[string]struct {
		make func(path string) error
		want string
	}{
		"link":        {func(path string) error { return os.Symlink("other", path) }, "PATH is a link, which is not followed; remove it: not usable"},
		"link loop":   {func(path string) error { return os.Symlink("file", path) }, "PATH is a link, which is not followed; remove it: not usable"},
		"directory":   {func(path string) error { return os.Mkdir(path, 0o755) }, "PATH is not a regular file; remove it: not usable"},
		"pipe":        {func(path string) error { return syscall.Mkfifo(path, 0o600) }, "PATH is not a regular file; remove it: not usable"},
		"socket":      {func(path string) error { return syscall.Mknod(path, syscall.S_IFSOCK|0o600, 0) }, "PATH is not a regular file; remove it: not usable"},
		"mode":        {func(path string) error { return errors.Join(os.WriteFile(path, nil, 0o644), os.Chmod(path, 0o646)) }, "other users may write to PATH (mode 0646); chmod go-w PATH: not usable"},
		"other owner": {func(path string) error { return errors.Join(os.WriteFile(path, nil, 0o644), os.Chown(path, 65534, 0)) }, "PATH belongs to the user with id 65534, who can change it; chown root PATH, or remove it: not usable"},
		"owner of the directory": {func(path string) error {
			return errors.Join(os.WriteFile(path, nil, 0o644), os.Chown(filepath.Dir(path), 65534, 0))
		}, "DIR belongs to the user with id 65534, who can change it; chown root DIR, or remove it: not usable"},
		"mode of the directory above": {func(path string) error {
			return errors.Join(os.WriteFile(path, nil, 0o644), os.Chmod(filepath.Dir(filepath.Dir(path)), 0o777))
		}, "other users may write to UP (mode 0777); chmod go-w UP: not usable"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "dir")
			write(t, filepath.Join(dir, "other"), "theirs")
			path := filepath.Join(dir, "file")
			if err := tt.make(path); errors.Is(err, fs.ErrPermission) {
				t.Skip("needs root")
			} else if err != nil {
				t.Fatal(err)
			}
			_, err := Read(path)
			want := strings.NewReplacer("PATH", path, "DIR", dir, "UP", filepath.Dir(dir)).Replace(tt.want)
			if !errors.Is(err, ErrUnusable) || err.Error() != want {
				t.Errorf("got  %v\nwant %s", err, want)
			}
		})
	}
}

func TestReadOfNothing(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "file"), "")
	for _, path := range []string{"none", "none/none", "file/none"} {
		if _, err := Read(filepath.Join(dir, path)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// TestWriteFollowsNoLink checks that Write does not follow a link. An attacker can replace the
// temporary file or the file itself by a link, so that root would overwrite another file.
func TestWriteFollowsNoLink(t *testing.T) {
	dir := t.TempDir()
	victim := filepath.Join(dir, "victim")
	write(t, victim, "precious")
	for _, name := range []string{".file", "file"} {
		must(t, os.Symlink(victim, filepath.Join(dir, name)))
	}
	must(t, Write(filepath.Join(dir, "file"), "text"))
	if text, err := Read(filepath.Join(dir, "file")); err != nil || text != "text" {
		t.Errorf("got %q, %v", text, err)
	}
	if text, _ := os.ReadFile(victim); string(text) != "precious" {
		t.Errorf("the other file has %q", text)
	}
}

func TestWriteLeavesTheOldFileWhenItFails(t *testing.T) {
	signal.Ignore(syscall.SIGXFSZ)
	path := filepath.Join(t.TempDir(), "file")
	must(t, Write(path, "old"))
	var before unix.Rlimit
	must(t, unix.Getrlimit(unix.RLIMIT_FSIZE, &before))
	must(t, unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: 10, Max: before.Max}))
	err := Write(path, "longer than ten bytes")
	must(t, unix.Setrlimit(unix.RLIMIT_FSIZE, &before))
	if !errors.Is(err, syscall.EFBIG) {
		t.Errorf("got %v", err)
	}
	if text, err := Read(path); err != nil || text != "old" {
		t.Errorf("got %q, %v", text, err)
	}
	if _, err := os.Lstat(filepath.Join(filepath.Dir(path), ".file")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the temporary file is left: %v", err)
	}
}

func TestOverwriteNeedsRoomInTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	must(t, Write(path, "a longer text"))
	must(t, overwrite(path, "short"))
	if text, err := Read(path); err != nil || text != "short" {
		t.Errorf("got %q, %v", text, err)
	}
	if err := overwrite(path, strings.Repeat("x", 1<<20)); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("got %v", err)
	}
}

func TestWroteNeedsBootInodeAndCookie(t *testing.T) {
	here := Here{Boot: "boot", Inode: "1", Cookie: "7"}
	for _, tt := range []struct {
		here          Here
		owner, cookie string
		want          bool
	}{
		{here, "boot 1", "7", true},
		{here, "boot 1", "", true}, // The first versions wrote no cookie.
		{here, "boot 1", "8", false},
		{here, "boot 2", "7", false},
		{here, "other 1", "7", false},
		{Here{Boot: "boot", Inode: "1"}, "boot 1", "7", true},
		{here, "", "", false},
	} {
		if got := tt.here.Wrote(tt.owner, tt.cookie); got != tt.want {
			t.Errorf("%+v: %q %q: got %t", tt.here, tt.owner, tt.cookie, got)
		}
	}
}

func TestNowHasACookie(t *testing.T) {
	here, err := Now()
	if err != nil || here.Boot == "" || here.Inode == "" {
		t.Errorf("%+v %v", here, err)
	}
	if here.Cookie == "" {
		t.Skip("Linux before 5.14 has no cookies of network namespaces")
	}
}

func TestOtherNamespacesHaveDirectoriesOfTheirOwn(t *testing.T) {
	root := t.TempDir()
	other := Here{Boot: "boot", Inode: "4026532999", Cookie: "300"}
	if got, want := other.Dir(root), filepath.Join(root, "netns-12c"); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := (Here{Main: true, Inode: "4026532999", Cookie: "1"}).Dir(root); got != root {
		t.Errorf("the namespace of the system: got %s", got)
	}
	if got, want := (Here{Inode: "4026532999"}).Dir(root), filepath.Join(root, "netns-f0000487"); got != want {
		t.Errorf("without a cookie: got %s, want %s", got, want)
	}
	// If an earlier version has left files of this namespace in root, the namespace continues to
	// use root.
	for _, name := range []string{"realserver-4026532999", "ipvs/web", "vip/loopback/web"} {
		root := t.TempDir()
		write(t, filepath.Join(root, name), "# title\n# owner boot 4026532999\n")
		if got := other.Dir(root); got != root {
			t.Errorf("with %s: got %s", name, got)
		}
		must(t, os.Mkdir(filepath.Join(root, "netns-12c"), 0o755))
		if got := other.Dir(root); got != filepath.Join(root, "netns-12c") {
			t.Errorf("with a directory of its own: got %s", got)
		}
	}
	foreign := t.TempDir()
	write(t, filepath.Join(foreign, "ipvs/web"), "# title\n# owner boot 1\n")
	if got := other.Dir(foreign); got == foreign {
		t.Error("files of another namespace were taken for this one's")
	}
}

func TestTakeIn(t *testing.T) {
	base := t.TempDir()
	old, dir := filepath.Join(base, "old"), filepath.Join(base, "new")
	must(t, TakeIn(old, dir))
	for _, name := range []string{"ipvs/web", "directord/web.pid", "lock-1", "realserver-1", "realserver-1.lock"} {
		write(t, filepath.Join(old, name), "old "+name)
	}
	write(t, filepath.Join(dir, "lock-1"), "new lock-1")
	write(t, filepath.Join(dir, "ipvs/mail"), "new ipvs/mail")
	for range 2 {
		must(t, TakeIn(old, dir))
	}
	for name, want := range map[string]string{"ipvs/web": "old", "ipvs/mail": "new", "directord/web.pid": "old", "lock-1": "new", "realserver-1": "old", "realserver-1.lock": "old"} {
		// a running daemon of an earlier version uses the old path
		for _, dir := range []string{old, dir} {
			if text, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(text) != want+" "+name {
				t.Errorf("%s: %q %v", name, text, err)
			}
		}
	}
}

func TestTakeInKeepsWhatBothHave(t *testing.T) {
	base := t.TempDir()
	old, dir := filepath.Join(base, "old"), filepath.Join(base, "new")
	write(t, filepath.Join(old, "ipvs/web"), "old")
	write(t, filepath.Join(dir, "ipvs/web"), "new")
	err := TakeIn(old, dir)
	want := fmt.Sprintf("state of an earlier version in %s is not taken in; stop what uses it, then remove it: %s/ipvs/web: file already exists", old, dir)
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	for path, want := range map[string]string{old: "old", dir: "new"} {
		if text, _ := os.ReadFile(filepath.Join(path, "ipvs/web")); string(text) != want {
			t.Errorf("%s has %q", path, text)
		}
	}
}

func TestTakeInTrustsNoDirectoryOfOthers(t *testing.T) {
	base := t.TempDir()
	old, dir := filepath.Join(base, "old"), filepath.Join(base, "new")
	write(t, filepath.Join(old, "ipvs/web"), "old")
	must(t, os.Chmod(old, 0o777))
	if err := TakeIn(old, dir); !errors.Is(err, ErrUnusable) {
		t.Errorf("got %v", err)
	}
	if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the directory was made: %v", err)
	}
}

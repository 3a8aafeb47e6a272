package packaging

import (
	"debug/elf"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// machines are the processors of the architectures, by the names that rpm and dpkg have for them.
var machines = map[string]elf.Machine{
	"x86_64": elf.EM_X86_64, "amd64": elf.EM_X86_64, "aarch64": elf.EM_AARCH64, "arm64": elf.EM_AARCH64,
	"ppc64le": elf.EM_PPC64, "ppc64el": elf.EM_PPC64, "s390x": elf.EM_S390,
}

// archOf returns the architecture that a package file names.
func archOf(t *testing.T, file string) string {
	t.Helper()
	if strings.HasSuffix(file, ".rpm") {
		return must(t, "rpm", "-qp", "--qf", "%{arch}", file)
	}
	return strings.TrimSpace(must(t, "dpkg-deb", "-f", file, "Architecture"))
}

// extract returns a directory with the content of a package file.
func extract(t *testing.T, file string) string {
	t.Helper()
	dir := t.TempDir()
	if strings.HasSuffix(file, ".rpm") {
		must(t, "sh", "-ec", `cd "$1"; rpm2cpio "$2" | cpio -idm --quiet`, "extract", dir, file)
	} else {
		must(t, "dpkg-deb", "-x", file, dir)
	}
	return dir
}

// programsOf returns the processor of every program in a directory.
func programsOf(t *testing.T, dir string) map[string]elf.Machine {
	t.Helper()
	found := map[string]elf.Machine{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		if program, err := elf.Open(path); err == nil {
			found[path] = program.Machine
			_ = program.Close()
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// crossBuilt returns packages for arm64 of the sources in dist, as RPMs and as Debian packages. The
// packages are not compressed, because that takes most of the time.
func crossBuilt(t *testing.T) []string {
	t.Helper()
	dir, home, source := t.TempDir(), t.TempDir(), built(t, "*.tar.gz")
	write(t, home+"/.rpmmacros", "%_binary_payload w0.ufdio\n", 0o644)
	cache := strings.TrimSpace(must(t, "go", "env", "GOCACHE"))
	must(t, "env", "HOME="+home, "GOCACHE="+cache, "../../rpm/build", source, dir, "aarch64")
	must(t, "env", "DPKG_DEB_COMPRESSOR_TYPE=none", "../../deb/build", source, dir, "arm64")
	files, err := filepath.Glob(dir + "/*")
	if err != nil || len(files) != 2*len(names) {
		t.Fatal(files, err)
	}
	return files
}

// TestPackagesNameTheirArchitecture checks the packages for this host, and packages for arm64. A
// package with programs must name the architecture of its programs. A package without programs must
// name none. The agents of the packages for arm64 run in an emulator.
func TestPackagesNameTheirArchitecture(t *testing.T) {
	cross := crossBuilt(t)
	agentsRun := 0
	for _, file := range slices.Concat(all(t, rpmOf), all(t, debOf), cross) {
		arch, dir := archOf(t, file), extract(t, file)
		found := programsOf(t, dir)
		if general := arch == "noarch" || arch == "all"; general != (len(found) == 0) {
			t.Errorf("%s names the architecture %s and has %d programs", filepath.Base(file), arch, len(found))
		}
		for path, machine := range found {
			if machine != machines[arch] {
				t.Errorf("%s: %s is a program for %s", filepath.Base(file), path, machine)
			}
			golden, err := os.ReadFile("../../metadata/documents/" + filepath.Base(path) + ".xml")
			if machine != elf.EM_AARCH64 || err != nil {
				continue
			}
			agentsRun++
			if diff := cmp.Diff(string(golden), must(t, "qemu-aarch64-static", path, "meta-data")); diff != "" {
				t.Errorf("%s meta-data (-want +got):\n%s", path, diff)
			}
		}
	}
	if agentsRun != 2*len(agents(t)) {
		t.Errorf("%d agents for arm64 ran, want %d in each format", agentsRun, len(agents(t)))
	}
}

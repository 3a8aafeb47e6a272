package clustertools

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lvs-agents/internal/config"
	"lvs-agents/internal/config/keepalived"
)

// samples is where Debian's package keepalived has its sample configurations.
const samples = "/usr/share/doc/keepalived/samples/keepalived.conf*"

// TestKeepalivedAcceptsOurFiles converts keepalived's samples and the files of the reader's tests
// into keepalived.conf. keepalived must accept each file, and a second conversion must give the
// same text. One sample is for the directors high and low.
func TestKeepalivedAcceptsOurFiles(t *testing.T) {
	for pattern, least := range map[string]int{samples: 25, "../../internal/config/keepalived/testdata/*.conf": 25} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		converted := 0
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if cfg, problems := keepalived.ParseFor("high", file, text); cfg != nil {
				converted++
				t.Run(filepath.Base(file), func(t *testing.T) { accepts(t, cfg) })
			} else {
				t.Logf("%s is not converted: %v", file, config.Err(problems))
			}
		}
		if converted < least {
			t.Errorf("%s: %d files were converted, want at least %d", pattern, converted, least)
		}
	}
}

// accepts writes a configuration, and lets keepalived check it. The interfaces exist during the
// check, because keepalived wants them.
func accepts(t *testing.T, cfg *config.Config) {
	t.Helper()
	once, problems := keepalived.Write(cfg, true)
	if err := config.Err(problems); err != nil {
		t.Fatal(err)
	}
	again, problems := keepalived.Parse("keepalived.conf", []byte(once))
	if again == nil {
		t.Fatalf("%v\n%s", problems, once)
	}
	if twice, _ := keepalived.Write(again, true); twice != once {
		t.Errorf("not a fixed point:\n%s\nthen\n%s", once, twice)
	}
	for _, nic := range interfaces(cfg) {
		if _, err := command(t, "ip", "link", "show", nic); err == nil {
			continue
		}
		mustCommand(t, "ip", "link", "add", nic, "type", "veth")
		t.Cleanup(func() { // The context of t has ended.
			if out, err := exec.Command("ip", "link", "delete", nic).CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
	path := filepath.Join(t.TempDir(), "keepalived.conf")
	if err := os.WriteFile(path, []byte(once), 0o600); err != nil {
		t.Fatal(err)
	}
	if said, err := command(t, "keepalived", "--config-test", "--use-file", path); err != nil || strings.TrimSpace(said) != "" {
		t.Errorf("%v: %s\n%s", err, said, once)
	}
}

// interfaces returns the names of the interfaces of a configuration.
func interfaces(cfg *config.Config) []string {
	var nics []string
	for _, g := range cfg.Cluster.Groups {
		for _, a := range g.Addresses {
			nics = append(nics, a.NIC)
		}
	}
	for _, c := range cfg.Cluster.NodeChecks {
		nics = append(nics, c.NIC)
	}
	if cfg.Cluster.Sync != nil {
		nics = append(nics, cfg.Cluster.Sync.Interface)
	}
	slices.Sort(nics)
	return slices.DeleteFunc(slices.Compact(nics), func(nic string) bool { return nic == "" })
}

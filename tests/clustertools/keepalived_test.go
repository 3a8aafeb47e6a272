package clustertools

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lvs-agents/internal/config"
	"lvs-agents/internal/config/format"
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

// TestStrictIsAsStrictAsKeepalived gives texts to keepalived and to lvsctl convert --strict. Both
// must refuse the same texts.
func TestStrictIsAsStrictAsKeepalived(t *testing.T) {
	const service = "virtual_server 192.0.2.10 80 {\n\tdelay_loop 6\n\tlb_algo rr\n\tlb_kind DR\n\tprotocol TCP\n\treal_server 192.0.2.21 80 {\n\t\tweight 1\n\t\tTCP_CHECK {\n\t\t\tconnect_timeout 3\n\t\t}\n\t}\n}\n"
	for name, row := range map[string]struct{ old, new string }{
		"right":                        {"", ""},
		"a wrong character":            {"delay_loop", "delay_lop"},
		"an unknown keyword":           {"lb_algo rr", "lb_algo rr\n\tcolour blue"},
		"an unknown keyword of a file": {"virtual_server", "colour blue\nvirtual_server"},
		"a keyword of another block":   {"weight 1", "weight 1\n\t\tlb_algo rr"},
		"a block without its end":      {"\t}\n}\n", "\t}\n"},
		"a brace without its block":    {"\t}\n}\n", "\t}\n}\n}\n"},
	} {
		t.Run(name, func(t *testing.T) {
			text := strings.Replace(service, row.old, row.new, 1)
			path := filepath.Join(t.TempDir(), "keepalived.conf")
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			said, theirs := command(t, "keepalived", "--config-test", "--use-file", path)
			format, err := format.Named("keepalived")
			if err != nil {
				t.Fatal(err)
			}
			cfg, problems := format.Strict(path, []byte(text))
			if (theirs == nil) != (cfg != nil) {
				t.Errorf("keepalived: %v %s, lvsctl: %v", theirs, said, problems)
			}
			if (cfg == nil) == (name == "right") {
				t.Errorf("lvsctl: %v", problems)
			}
		})
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

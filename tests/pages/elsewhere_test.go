package pages

import "testing"

// TestCommandsOfRealMachines checks every command of the pages that the lab cannot run, with the
// rules in elsewhere.
func TestCommandsOfRealMachines(t *testing.T) {
	all, err := All("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range all {
		for _, step := range page.Steps {
			if _, err := step.Elsewhere(Repository("../..")); err != nil {
				t.Errorf("%s:%d: %s: %v", page.Name, step.Line, step.Command, err)
			}
		}
	}
}

func TestElsewhere(t *testing.T) {
	files := map[string]string{
		"deb/control": "Package: lvs-agents\n", "rpm/lvs-agents.spec": "%package heartbeat\n", "crm/examples/group.pcs": "pcs x\n",
		"tests/packages": "# text\nnginx-light  # servers (dnf: nginx)\ncurl  # clients\nheartbeat # not there (dnf: -)\n",
	}
	for _, test := range []struct {
		step      Step
		elsewhere bool
		problem   string
	}{
		{Step{Command: "crm_mon -1"}, false, ""},
		{Step{Command: "apt install ./lvs-agents_*.deb nginx-light curl"}, true, ""},
		{Step{Command: "apt install nginx"}, true, "nginx is not a package that this repository builds or its tests install"},
		{Step{Command: "apt install ./lvs_*.deb"}, true, "./lvs_*.deb is not a package that this repository builds or its tests install"},
		{Step{Command: "dnf install -y ./lvs-agents-[0-9]*.rpm ./lvs-agents-heartbeat-*.rpm nginx curl", RHEL: true}, true, ""},
		{Step{Command: "dnf install heartbeat", RHEL: true}, true, "heartbeat is not a package that this repository builds or its tests install"},
		{Step{Command: "sh /usr/share/doc/lvs-agents/group.pcs", RHEL: true}, true, ""},
		{Step{Command: "sh /usr/share/doc/lvs-agents/other.pcs", RHEL: true}, true, "other.pcs is not in crm/examples"},
		{Step{Command: "reboot", RHEL: true}, true, "no rule of tests/pages judges this command of the RHEL family"},
	} {
		elsewhere, err := test.step.Elsewhere(func(name string) string { return files[name] })
		problem := ""
		if err != nil {
			problem = err.Error()
		}
		if elsewhere != test.elsewhere || problem != test.problem {
			t.Errorf("%s: %v, %q; want %v, %q", test.step.Command, elsewhere, problem, test.elsewhere, test.problem)
		}
	}
}

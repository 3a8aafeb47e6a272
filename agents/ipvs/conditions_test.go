package ipvs

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lvs-agents/internal/state/statetest"
	"lvs-agents/ocf"
)

// TestStopInEveryConditionOfTheRecord checks stop in every condition of the record, with and
// without parameters. While the agent can trust the record, stop must return 0 if and only if the
// kernel has no service of the resource. Without the record, stop must return 0 and leave the
// service.
func TestStopInEveryConditionOfTheRecord(t *testing.T) {
	for _, condition := range statetest.Conditions() {
		for _, left := range []bool{true, false} {
			for name, params := range map[string][]string{"parameters": web, "no parameters": nil} {
				t.Run(condition.Name+map[bool]string{true: ", left, ", false: ", not left, "}[left]+name, func(t *testing.T) {
					stopInCondition(t, condition, left, params)
				})
			}
		}
	}
}

func stopInCondition(t *testing.T, condition statetest.Condition, left bool, params []string) {
	n := newNode(t)
	n.state = statetest.Dir(t, condition.Root)
	n.mustRun(t, 0, "mail", "start", "virtual=192.0.2.11:25", "real=192.0.2.21 gate", "scheduler=rr")
	others := n.kernel.String()
	n.mustRun(t, 0, "web", "start", web...)
	if !left {
		n.set(t, "-D -t 192.0.2.10:80")
	}
	condition.Apply(t, filepath.Join(n.state, "ipvs"), filepath.Join(n.state, "ipvs", "web"))
	for range 2 {
		got := n.run("web", "stop", params...)
		clean := n.kernel.String() == others
		switch {
		case strings.HasPrefix(condition.Name, statetest.Absent): // without a record, stop cannot find out that the service belongs to the resource
			if got.code != ocf.Success || clean == left {
				t.Errorf("stop gives %d (%s); the table is\n%s", got.code, got.reason, n.kernel)
			}
			if want := "no record of this resource, so -t 192.0.2.10:80 stays; ipvsadm -D it if this resource put it there"; left && params != nil && !strings.Contains(got.log, want) {
				t.Errorf("the service that stays is not named: %s", got.log)
			}
		case params == nil && (strings.HasPrefix(condition.Name, "others may write to its directory") || strings.HasPrefix(condition.Name, "in a directory")):
			// The agent can trust no record, not even the record of mail, and no parameter names a
			// service.
			if got.code != ocf.Generic || !strings.Contains(got.reason, "ipvsadm -D the services that this resource added, then remove the file") {
				t.Errorf("stop gives %d (%s)", got.code, got.reason)
			}
		case (got.code == ocf.Success) != clean:
			t.Errorf("stop gives %d (%s); the table is\n%s", got.code, got.reason, n.kernel)
		case params != nil && !clean:
			t.Errorf("the parameters name the services, but they stay: %s", got.reason)
		}
	}
}

// TestCopyOfARecordStopsNoStart checks that start succeeds although a copy of the record exists.
// Start logs the path of the copy.
func TestCopyOfARecordStopsNoStart(t *testing.T) {
	n := newNode(t)
	n.mustRun(t, 0, "web", "start", web...)
	record := filepath.Join(n.state, "ipvs", "web")
	text, err := os.ReadFile(record)
	if err := errors.Join(err, os.WriteFile(record+".bak", text, 0o644)); err != nil {
		t.Fatal(err)
	}
	for _, step := range []string{"stop", "start", "monitor"} {
		got := n.mustRun(t, 0, "web", step, web...)
		if want := record + ".bak is a copy of a record and has no effect; remove it"; step == "start" && !strings.Contains(got.log, want) {
			t.Errorf("the copy is not named: %s", got.log)
		}
	}
}

package cib

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const before = `<cib epoch="5" num_updates="3" admin_epoch="0"><configuration><crm_config/><nodes/><resources>
<primitive id="fence" class="stonith" type="fence_x"><instance_attributes id="f"><nvpair id="f-p" name="passwd" value="geheim"/></instance_attributes></primitive>
<primitive id="web-vip" class="ocf" provider="lvs" type="vip"><instance_attributes id="crm-chose"><nvpair id="x" name="ip" value="192.0.2.10"/></instance_attributes><meta_attributes id="m"><nvpair id="m-t" name="target-role" value="Stopped"/></meta_attributes></primitive>
</resources><constraints/></configuration><status><node_state id="1"/></status></cib>`

func wanted(ip, more string) string {
	return `<configuration><resources><primitive id="web-vip" class="ocf" provider="lvs" type="vip"><instance_attributes id="web-vip-i"><nvpair id="web-vip-i-ip" name="ip" value="` + ip + `"/></instance_attributes></primitive>` + more + `</resources><constraints><rsc_location id="l" rsc="web-vip" node="director1" score="200"/></constraints></configuration>`
}

func parsed(t *testing.T, text string) *CIB {
	t.Helper()
	c, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// applied returns the CIB after a setup was applied, and the changes.
func applied(t *testing.T, c *CIB, configuration string) (*CIB, []string) {
	t.Helper()
	part, err := c.Setup("web", configuration)
	if err != nil {
		t.Fatal(err)
	}
	next, err := c.With(part)
	if err != nil {
		t.Fatal(err)
	}
	return next, Changes(c, next, part.IDs)
}

// TestApply checks the changes of three setups in turn: a first one, the same again, and one
// without a resource of the first. Other resources stay as they are, and so does the role that an
// operator has set.
func TestApply(t *testing.T) {
	c := parsed(t, before)
	extra := `<primitive id="web-ipvs" class="ocf" provider="lvs" type="ipvs"><instance_attributes id="i"><nvpair id="i-p" name="passwd" value="geheim"/></instance_attributes></primitive>`
	first, changes := applied(t, c, wanted("192.0.2.11", extra))
	if diff := cmp.Diff([]string{
		"add location l: is=node=director1 rsc=web-vip score=200",
		"add resource ocf:lvs:ipvs web-ipvs: passwd=***",
		"web-vip: ip=192.0.2.10 -> 192.0.2.11",
	}, changes); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, want := range []string{`<primitive id="fence" class="stonith" type="fence_x">`, `name="target-role" value="Stopped"`, `epoch="6" num_updates="0"`, `<node_state id="1"/>`} {
		if !strings.Contains(first.String(), want) {
			t.Errorf("no %s in\n%s", want, first)
		}
	}
	again, changes := applied(t, first, wanted("192.0.2.11", extra))
	if len(changes) > 0 || again.Configuration() != first.Configuration() {
		t.Errorf("%q\n%s", changes, cmp.Diff(first.Configuration(), again.Configuration()))
	}
	_, changes = applied(t, again, wanted("192.0.2.11", ""))
	if diff := cmp.Diff([]string{"remove resource ocf:lvs:ipvs web-ipvs"}, changes); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestBack checks that a saved part gives the former configuration back.
func TestBack(t *testing.T) {
	c := parsed(t, before)
	part, err := c.Setup("web", wanted("192.0.2.11", `<primitive id="web-ipvs" class="ocf" provider="lvs" type="ipvs"/>`))
	if err != nil {
		t.Fatal(err)
	}
	saved := c.Part("web", part.IDs)
	next, err := c.With(part)
	if err != nil {
		t.Fatal(err)
	}
	back, err := next.With(saved)
	if err != nil {
		t.Fatal(err)
	}
	if diff := Changes(c, back, part.IDs); len(diff) > 0 || len(back.applied("web")) > 0 {
		t.Errorf("%q %q", diff, back.applied("web"))
	}
}

func TestResourceInAnotherGroup(t *testing.T) {
	c := parsed(t, strings.Replace(strings.Replace(before, `<primitive id="web-vip"`, `<group id="mine"><primitive id="web-vip"`, 1), "</primitive>\n</resources>", "</primitive></group>\n</resources>", 1))
	part, err := c.Setup("web", wanted("192.0.2.11", ""))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.With(part); err == nil || !strings.Contains(err.Error(), "resource web-vip would be in ") {
		t.Errorf("got %v", err)
	}
}

func TestTransition(t *testing.T) {
	const text = "Current cluster status:\n  * Online: [ a b ]\n\nTransition Summary:\n  * Start      web-vip     ( a )\n  * Reload     web-ipvs    ( a )\n\nExecuting Cluster Transition:\n  * Resource action: x\n"
	if diff := cmp.Diff([]string{"Start web-vip ( a )", "Reload web-ipvs ( a )"}, transition(text)); diff != "" {
		t.Error(diff)
	}
}

func TestNotACIB(t *testing.T) {
	for _, text := range []string{"", "<", "<cib/>", "text"} {
		if c, err := Parse(text); err == nil {
			t.Errorf("%q: %s", text, c)
		}
	}
}

// TestOutputDoesNotWait runs a program that hangs. Its child keeps the pipe open. Other programs
// show the errors that a caller can recognise.
func TestOutputDoesNotWait(t *testing.T) {
	begin := time.Now()
	_, err := Output(t.Context(), "sh", "-c", "sleep 20; true")
	if took := time.Since(begin); !errors.Is(err, context.DeadlineExceeded) || took > 15*time.Second {
		t.Errorf("%v after %v", err, took)
	}
	if _, err := Output(t.Context(), "no-such-program"); !errors.Is(err, ErrNotInstalled) {
		t.Errorf("got %v", err)
	}
	if _, err := Output(t.Context(), "sh", "-c", "exit 102"); !errors.Is(err, ErrNotRunning) {
		t.Errorf("got %v", err)
	}
}

package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lvs-agents/crm/cib"
	"lvs-agents/internal/control"
	"lvs-agents/internal/doctor"
)

// TestNoDaemon checks what the commands print on a node without a health daemon.
func TestNoDaemon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const mon = `<r><summary><current_dc present="true"/></summary><nodes><node name="director1" online="true" standby="true"/></nodes>
<resources><resource id="web-health" resource_agent="ocf:lvs:health"><node name="director2"/></resource></resources></r>`
		for _, tt := range []struct {
			name, mon, want string
			other           string // other is the end of the error of an order.
			err             error
			hangs           bool
		}{
			{name: "standby", mon: mon, want: ": web-health runs on director2; this node is in standby", other: "; run the command on director2"},
			{name: "no health resource", mon: "<r/>"},
			{name: "no XML", want: "; the cluster is unknown: crm_mon: EOF"},
			{name: "no cluster", err: cib.ErrNotInstalled},
			{name: "Pacemaker does not run", err: cib.ErrNotRunning, want: ": Pacemaker does not run, or this user cannot connect to it"},
			{name: "Pacemaker hangs", hangs: true, want: "; the cluster manager did not reply within 1s"},
		} {
			const timeout = 2 * time.Second
			waits := fmt.Sprintf("timed out after %s: ", timeout)
			for _, command := range []struct {
				args, before string
				code         int
				orders       bool
			}{
				{args: "status", code: 1},
				{args: "status --json"},
				{args: "explain 192.0.2.10:80", code: 1},
				{args: "events -w", code: 1},
				{args: "drain 192.0.2.10:80", code: 1, orders: true},
				{args: "undrain 192.0.2.10:80 192.0.2.21", code: 1, orders: true},
				{args: "maint 192.0.2.10:80 --on everywhere", code: 1, orders: true},
				{args: "ready 192.0.2.10:80 --on director1", code: 1, orders: true},
				{args: "weight 192.0.2.10:80 192.0.2.21 5", code: 1, orders: true},
				{args: "add 192.0.2.10:80 192.0.2.24", code: 1, orders: true},
				{args: "remove 192.0.2.10:80 192.0.2.21", code: 1, orders: true},
				{args: "wait up 192.0.2.10:80 --timeout " + timeout.String(), before: waits, code: 3, orders: true},
				{args: "status --wait up --timeout " + timeout.String(), before: waits, code: 3, orders: true},
			} {
				var out, errs strings.Builder
				sys := system{stdout: &out, stderr: &errs, stateDir: t.TempDir(), now: time.Now}
				sys.output = func(ctx context.Context, name string, _ ...string) (string, error) {
					switch {
					case tt.hangs:
						<-ctx.Done()
						return "", ctx.Err()
					case name == "crm_node":
						return "director1\n", tt.err
					}
					return tt.mon, tt.err
				}
				began := time.Now()
				code := run(t.Context(), strings.Fields(command.args), sys)
				stdout, want, limit := "", "lvsctl: "+command.before+"no health daemon runs on this node"+tt.want, time.Second
				if command.args == "status --json" {
					stdout = "[]\n"
				}
				if command.orders {
					want += tt.other
				}
				if command.before != "" {
					limit += timeout
				}
				if code != command.code || out.String() != stdout || errs.String() != want+"\n" || time.Since(began) > limit {
					t.Errorf("%s, %s: exit code %d after %v, %q, %q", tt.name, command.args, code, time.Since(began), out.String(), errs.String())
				}
			}
		}
	})
}

// linked is a host with these interfaces.
type linked struct {
	healthy
	links []doctor.Link
	err   error
}

func (n linked) Links() ([]doctor.Link, error) { return n.links, n.err }

// TestHeldAddresses checks which virtual addresses this node has according to lvsctl status.
func TestHeldAddresses(t *testing.T) {
	here := linked{links: []doctor.Link{
		{Name: "lo", Networks: []netip.Prefix{netip.MustParsePrefix("192.0.2.10/32")}},
		{Name: "eth0", Networks: []netip.Prefix{netip.MustParsePrefix("192.0.2.10/24"), netip.MustParsePrefix("2001:db8::10/64")}},
	}}
	many := []string{}
	for i := range mostHeld + 5 {
		many = append(many, fmt.Sprintf("-t 198.51.100.%d:80", i))
	}
	for _, tt := range []struct {
		name string
		node node
		ids  []string
		want string
	}{
		{"two ports", here, []string{"-t 192.0.2.10:80", "-t 192.0.2.10:443"}, "192.0.2.10 on lo and eth0"},
		{"IPv6", here, []string{"-t [2001:db8::10]:80", "-u 192.0.2.11:53"}, "2001:db8::10 on eth0, 192.0.2.11 on no interface of this node"},
		{"a mark", here, []string{"-f 7"}, ""},
		{"no interfaces", linked{err: errors.New("no")}, []string{"-t 192.0.2.10:80"}, ""},
		{"no address here", healthy{}, many[:1], "198.51.100.0 on no interface of this node"},
	} {
		var s control.Snapshot
		for _, id := range tt.ids {
			s.Services = append(s.Services, control.Service{ID: id})
		}
		if got := heldAddresses(system{node: tt.node}, s); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
	var s control.Snapshot
	for _, id := range many {
		s.Services = append(s.Services, control.Service{ID: id})
	}
	if got := heldAddresses(system{node: here}, s); strings.Count(got, " on ") != mostHeld || !strings.HasSuffix(got, ", and 5 more") {
		t.Error(got)
	}
}

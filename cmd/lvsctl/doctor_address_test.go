package main

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"testing/fstest"

	"lvs-agents/crm/cib"
	"lvs-agents/internal/host"
	"lvs-agents/internal/kernel/capability"
	"lvs-agents/internal/ledger"
)

const vipCIB = `<cib><configuration><resources><group id="web"><primitive id="web-vip" class="ocf" provider="heartbeat" type="IPaddr2">
<instance_attributes id="i"><nvpair id="i-ip" name="ip" value="192.0.2.10"/></instance_attributes></primitive></group></resources></configuration></cib>`

// TestDoctorOfAnAddress checks that doctor never tells a director to add a virtual address to lo. A
// director that is also a real server is examined as both.
func TestDoctorOfAnAddress(t *testing.T) {
	const (
		asDirector = "; doctor examines it as a director, and not as a real server\n"
		byCluster  = "lvsctl: this host is a director for 192.0.2.10: the address belongs to resource web-vip of the cluster" + asDirector
		byTable    = "lvsctl: this host is a director for 192.0.2.10: its IPVS table has a service with the address" + asDirector
	)
	both := t.TempDir()
	store, err := ledger.In(both, ledger.RealServer)
	if err != nil {
		t.Fatal(err)
	}
	var l ledger.Ledger
	l.Enter("web", ledger.Running)
	l.Hold("web", host.Setting{Kind: host.HostAddress, NIC: "lo", IP: netip.MustParseAddr("192.0.2.10")}, host.Off, host.On)
	if err := store.Save(l); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, args, state string
		patient           patient
		err               error // err is the error of cibadmin.
		file              string
		asked             string
		stderr            string
		refused           bool
	}{
		{name: "an address of the cluster", args: "192.0.2.10", stderr: byCluster},
		{name: "Pacemaker does not run", args: "192.0.2.10", err: cib.ErrNotRunning, file: vipCIB, stderr: byCluster},
		{name: "a service of the table", args: "192.0.2.10", err: cib.ErrNotInstalled, patient: patient{directs: true, balances: "192.0.2.10"}, stderr: byTable},
		{name: "two addresses", args: "192.0.2.10 192.0.2.9", asked: "address nic=lo ip=192.0.2.9", stderr: byCluster},
		{name: "also a real server", args: "192.0.2.10", state: both, patient: patient{directs: true, balances: "192.0.2.10"}, asked: "address nic=lo ip=192.0.2.10"},
		{name: "also a real server by hand", args: "192.0.2.10", patient: patient{directs: true, balances: "192.0.2.10", local: "192.0.2.10"}, asked: "address nic=lo ip=192.0.2.10"},
		{name: "a real server", args: "192.0.2.10", err: cib.ErrNotInstalled, asked: "address nic=lo ip=192.0.2.10"},
		{
			name: "the cluster does not reply", args: "192.0.2.10", err: errors.New("no reply"), refused: true,
			stderr: "lvsctl: it is unknown whether this host is a director for 192.0.2.10: the configuration of the cluster was not read: cibadmin: no reply; type the command again\n",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out, errs strings.Builder
			if tt.state == "" {
				tt.state = t.TempDir()
			}
			output := func(ctx context.Context, name string, args ...string) (string, error) {
				switch {
				case name == "cibadmin" && tt.err == nil:
					return vipCIB, nil
				case name == "cibadmin":
					return "", tt.err
				case name == "cat" && tt.file == "":
					return "", errors.New("no such file")
				case name == "cat":
					return tt.file, nil
				}
				return rightCluster(ctx, name, args...)
			}
			code := run(t.Context(), append([]string{"doctor"}, strings.Fields(tt.args)...), system{
				stdout: &out, stderr: &errs, stateDir: tt.state, doctor: &tt.patient, node: healthy{}, director: &tt.patient, output: output,
				capable: capability.Kernel{Root: fstest.MapFS{}}, kernel: fakeKernel{}, attributes: published{}, listen: silence,
			})
			notice, _, _ := strings.Cut(errs.String(), "lvsctl: not examined")
			if notice != tt.stderr || strings.Join(tt.patient.asked, "\n") != tt.asked || tt.refused && code != 1 {
				t.Errorf("exit code %d, stderr %q, examined %q; want %q, %q", code, errs.String(), tt.patient.asked, tt.stderr, tt.asked)
			}
		})
	}
}

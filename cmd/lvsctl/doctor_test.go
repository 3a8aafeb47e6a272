package main

import (
	"context"
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"lvs-agents/internal/config/load"
	"lvs-agents/internal/control"
	"lvs-agents/internal/doctor"
	"lvs-agents/internal/host"
	"lvs-agents/internal/kernel/capability"
	"lvs-agents/internal/ledger"
	"lvs-agents/internal/lvs"
	"lvs-agents/internal/state/record"
)

// patient returns the findings of the test, and stores the settings that the doctor examines.
type patient struct {
	findings []doctor.Finding
	err      error
	asked    []string
	directs  bool
	sloppy   string // sloppy is the value of the sysctl sloppy_tcp.
	expire   string // expire is the value of the sysctl expire_nodest_conn. Empty is a kernel without it.
	masq     []netip.Addr
	balances string // balances is the address of a service of the IPVS table.
	local    string // local is an address on lo.
}

func (p *patient) Get(_ context.Context, s host.Setting) (string, error) {
	switch {
	case s == doctor.ExpireNodest && p.expire != "":
		return p.expire, nil
	case s.Name == "net/ipv4/vs/sloppy_tcp":
		return p.sloppy, nil
	}
	return "", fs.ErrNotExist
}
func (p *patient) Directs() bool               { return p.directs }
func (p *patient) Masqueraded() []netip.Addr   { return p.masq }
func (p *patient) Forwards(bool) bool          { return false }
func (p *patient) Balances(ip netip.Addr) bool { return ip.String() == p.balances }
func (p *patient) Addresses(_ context.Context, ip netip.Addr) ([]host.Address, error) {
	if ip.String() == p.local {
		return []host.Address{{NIC: "lo", Observed: host.Observed{Interface: host.Interface{Silent: true}}}}, nil
	}
	return nil, nil
}

func (p *patient) Gateways(context.Context, string, bool) ([]netip.Addr, error) {
	return []netip.Addr{netip.MustParseAddr("192.0.2.1")}, nil
}

func (p *patient) Network(context.Context, host.Search) (host.Network, error) {
	return host.Network{}, host.ErrNoNetwork
}
func (p *patient) Route(context.Context, netip.Addr) (host.Route, error) { return host.Route{}, nil }
func (p *patient) Traffic(context.Context) ([]lvs.Traffic, error)        { return nil, nil }
func (p *patient) Handshakes() []host.Handshake                          { return nil }
func (p *patient) SourceDrops() int                                      { return 0 }
func (p *patient) Accepts(context.Context, netip.AddrPort) (int, bool)   { return 0, true }
func (p *patient) Source(context.Context, netip.Addr) (netip.Addr, error) {
	return netip.Addr{}, host.ErrNoNetwork
}
func (p *patient) Servers() []netip.Addr  { return nil }
func (p *patient) Unserved() []netip.Addr { return nil }
func (p *patient) HasTable(string) bool   { return false }

func (p *patient) Examine(_ context.Context, settings []host.Setting) ([]doctor.Finding, error) {
	for _, s := range settings {
		p.asked = append(p.asked, s.String())
	}
	return p.findings, p.err
}

func TestDoctor(t *testing.T) {
	state := t.TempDir()
	store, err := ledger.In(state, ledger.RealServer)
	if err != nil {
		t.Fatal(err)
	}
	var l ledger.Ledger
	l.Enter("web", ledger.Running)
	l.Hold("web", host.Setting{Kind: host.HostAddress, NIC: "lo", IP: netip.MustParseAddr("192.0.2.10"), Scope: "host"}, host.Off, host.On)
	if err := store.Save(l); err != nil {
		t.Fatal(err)
	}
	spare := t.TempDir()
	if store, err = ledger.In(spare, ledger.Director); err != nil {
		t.Fatal(err)
	}
	var sync ledger.Ledger
	sync.Enter("lvs-sync", ledger.Running)
	sync.Hold("lvs-sync", host.Setting{Kind: host.Sysctl, Name: "net/ipv4/vs/sync_ports"}, "1", "2")
	sync.Hold("lvs-sync", host.Setting{Kind: host.SyncDaemon, Name: "backup"}, host.Off, "--mcast-interface eth1 --syncid 7")
	if err := store.Save(sync); err != nil {
		t.Fatal(err)
	}
	ill := []doctor.Finding{{What: "eth0 answers", Why: "it is 0", Fix: "sysctl"}}
	tests := []struct {
		name, args, state string
		patient           patient
		code              int
		stdout, stderr    string
		asked             []string
	}{
		{"what is noted", "", state, patient{}, 0, "fine\n", "", []string{"address nic=lo ip=192.0.2.10 scope=host"}},
		{"what is given", "192.0.2.9 2001:db8::9", state, patient{}, 0, "fine\n", "", []string{"address nic=lo ip=192.0.2.9", "address nic=lo ip=2001:db8::9"}},
		{"tunnels", "--tunnel 192.0.2.9 2001:db8::9", state, patient{}, 0, "fine\n", "",
			[]string{"link nic=tunl0", "address nic=tunl0 ip=192.0.2.9", "link nic=ip6tnl0", "address nic=ip6tnl0 ip=2001:db8::9"}},
		{"a gateway", "--gateway 192.0.2.11", state, patient{}, 0, "fine\n", "", []string{"route ip=192.0.2.11"}},
		{"ill", "", state, patient{findings: ill}, 1, "eth0 answers\n    why: it is 0\n    fix: sysctl\n", "", []string{"address nic=lo ip=192.0.2.10 scope=host"}},
		{"not to be examined", "192.0.2.9", state, patient{err: errors.New("no packets today")}, 1, "", "lvsctl: not examined: the settings of a real server: no packets today\n", []string{"address nic=lo ip=192.0.2.9"}},
		{"nobody", "", t.TempDir(), patient{}, 1, "", "lvsctl: no realserver resource runs on this host, and it is not a director; start one, or give the virtual addresses\n", nil},
		{"a director", "", t.TempDir(), patient{directs: true}, 0, "fine\n", "", nil},
		{"a director whose servers are masq", "", t.TempDir(), patient{directs: true, masq: []netip.Addr{netip.MustParseAddr("192.0.2.21")}}, 1,
			"replies of the masq server 192.0.2.21 do not reach clients\n    why: net.ipv4.ip_forward is 0\n    fix: sysctl -w net.ipv4.ip_forward=1\n", "", nil},
		{"a director that receives connections", "", spare, patient{}, 1, `other hosts can create and change connections of this director
    why: the synchronisation daemons use eth1, which also leads to the gateway 192.0.2.1, and their datagrams are not authenticated
    fix: use an interface that only the directors share, or replace PEERS by the addresses of the other directors: nft 'table ip lvs-sync { chain input { type filter hook input priority 0; iifname eth1 ip daddr 224.0.0.81 udp dport 8848-8849 ip saddr != { PEERS } drop; }; }'
`, "", nil},
		{"no address", "web", state, patient{}, 1, "", "lvsctl: \"web\" is not an IPv4 or IPv6 address\n", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out, errs strings.Builder
			output := rightCluster
			if tt.name == "nobody" {
				output = noCluster
			}
			code := run(t.Context(), append([]string{"doctor"}, strings.Fields(tt.args)...),
				system{
					stdout: &out, stderr: &errs, stateDir: tt.state, doctor: &tt.patient, node: healthy{}, director: &tt.patient, output: output,
					capable: capability.Kernel{Root: fstest.MapFS{}}, kernel: fakeKernel{}, attributes: published{}, listen: silence,
				})
			got := []any{code, out.String(), errs.String(), tt.patient.asked}
			if diff := cmp.Diff([]any{tt.code, tt.stdout, tt.stderr, tt.asked}, got); diff != "" {
				t.Errorf("exit code, stdout, stderr, asked (-want +got):\n%s", diff)
			}
		})
	}
}

// healthy is a host without faults.
type healthy struct{}

func (healthy) Name() string                      { return "director1" }
func (healthy) Links() ([]doctor.Link, error)     { return nil, nil }
func (healthy) Directory(string) doctor.Directory { return doctor.Directory{} }
func (healthy) Lacks([]string) []string           { return nil }
func (healthy) Savers() []string                  { return nil }
func (healthy) Clock() (int, error)               { return unix.TIME_OK, nil }
func (healthy) Owner(context.Context, string, netip.Addr, time.Duration) (string, error) {
	return "", nil
}

// timed is a host whose kernel answers adjtimex(2) with these values.
type timed struct {
	healthy
	state int
	err   error
}

func (n timed) Clock() (int, error) { return n.state, n.err }

// TestDoctorOfClock checks that a clock without synchronisation is a hint on a director. The doctor
// prints fine, and a real server gets no hint.
func TestDoctorOfClock(t *testing.T) {
	const hint = "lvsctl: hint: orders and certificates can end at a wrong time, and the logs of the directors do not fit together: " +
		"the clock of this director is not synchronised (adjtimex: TIME_ERROR); install and start chrony, or another NTP client\n"
	for _, tt := range []struct {
		name, args string
		node       timed
		want       string // want is the standard error.
	}{
		{"synchronised", "", timed{state: unix.TIME_OK}, ""},
		{"a leap second comes", "", timed{state: unix.TIME_INS}, ""},
		{"not synchronised", "", timed{state: unix.TIME_ERROR}, hint},
		{"a container that must not read the clock", "", timed{state: -1, err: unix.EPERM}, "lvsctl: hint: the clock of this director is not examined: adjtimex: operation not permitted\n"},
		{"a real server", "192.0.2.9", timed{state: unix.TIME_ERROR}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out, errs strings.Builder
			code := run(t.Context(), append([]string{"doctor"}, strings.Fields(tt.args)...), system{
				stdout: &out, stderr: &errs, stateDir: t.TempDir(), doctor: &patient{}, node: tt.node, director: &patient{directs: tt.args == ""}, output: rightCluster,
				capable: capability.Kernel{Root: fstest.MapFS{}}, kernel: fakeKernel{}, attributes: published{}, listen: silence,
			})
			if diff := cmp.Diff([]any{0, "fine\n", tt.want}, []any{code, out.String(), errs.String()}); diff != "" {
				t.Errorf("exit code, stdout, stderr (-want +got):\n%s", diff)
			}
		})
	}
}

// silence listens to a multicast group that gets no datagrams.
func silence(context.Context, lvs.SyncDaemon, int) ([]lvs.SyncSender, error) { return nil, nil }

// published has the values of a node attribute, by the names of the nodes.
type published map[string]string

func (p published) All(_ context.Context, name string) (map[string]string, error) {
	if name != "lvs-health-web-tables" {
		return nil, nil
	}
	return p, nil
}

// TestDoctorComparesHashTables checks that the doctor names a director that chooses other real
// servers for the same client.
func TestDoctorComparesHashTables(t *testing.T) {
	const tables = "-t 192.0.2.10:80 12345678"
	dir := t.TempDir()
	listener, err := control.Listen(dir, "web")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	own := daemon{control.Snapshot{ID: "web", Attribute: &control.Attribute{Name: "lvs-health-web"}, HashTables: tables}}
	go func() { ended <- control.Serve(ctx, listener, own, new(control.Feed)) }()
	defer func() { stop(); <-ended }()
	for other, want := range map[string]string{
		tables: "fine\n",
		"-t 192.0.2.10:80 9abcdef0": `a take-over from or by node director2 breaks connections of virtual service -t 192.0.2.10:80
    why: the service or its real servers differ between the two directors, so they choose different real servers for the same client
    fix: give both directors the same configuration, then compare lvsctl status on both
`,
	} {
		var out, errs strings.Builder
		code := run(t.Context(), []string{"doctor"}, system{stdout: &out, stderr: &errs, stateDir: dir,
			doctor: &patient{}, node: healthy{}, director: &patient{directs: true}, output: rightCluster, capable: capability.Kernel{Root: fstest.MapFS{}}, kernel: fakeKernel{}, attributes: published{"director1": tables, "director2": other}})
		if out.String() != want || errs.Len() > 0 || (code == 0) != (want == "fine\n") {
			t.Errorf("code %d, printed %q, %s\nwant %q", code, out.String(), errs.String(), want)
		}
	}
}

// TestDoctorComparesFiles checks the findings for files that have changed, or do not exist, since a
// daemon and resources have read them.
func TestDoctorComparesFiles(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "web.cf")
	store, err := record.In(dir)
	if err != nil {
		t.Fatal(err)
	}
	read := load.Digest([]byte("old\n"))
	for _, r := range []record.Record{
		{ID: "web-ipvs", State: record.Running, File: record.File{Path: file, Digest: read}},
		{ID: "other-ipvs", State: record.Stopping, File: record.File{Path: "/none", Digest: read}},
		{ID: "mail-ipvs", State: record.Running},
	} {
		if err := store.Save(r); err != nil {
			t.Fatal(err)
		}
	}
	listener, err := control.Listen(dir, "web")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	own := daemon{control.Snapshot{ID: "web", PID: 7, Config: file, Digest: read}}
	go func() { ended <- control.Serve(ctx, listener, own, new(control.Feed)) }()
	defer func() { stop(); <-ended }()
	const why = "\n    why: the file has changed since it was read, and no reload has happened\n    fix: lvsctl check FILE && "
	for _, tt := range []struct{ text, want string }{
		{"old\n", "fine\n"},
		{"new\n", "resource web-ipvs does not use the last changes of FILE" + why + "OCF_ROOT=/usr/lib/ocf OCF_RESOURCE_INSTANCE=web-ipvs OCF_RESKEY_config=FILE /usr/lib/ocf/resource.d/lvs/ipvs reload-agent\n" +
			"health daemon web does not use the last changes of FILE" + why + "kill -HUP 7\n"},
		{"", "the next start or reload of resource web-ipvs fails on this node\n    why: FILE does not exist any more\n    fix: copy the file from another director\n" +
			"the next start or reload of health daemon web fails on this node\n    why: FILE does not exist any more\n    fix: copy the file from another director\n"},
	} {
		err := os.Remove(file)
		if tt.text != "" {
			err = os.WriteFile(file, []byte(tt.text), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		var out, errs strings.Builder
		code := run(t.Context(), []string{"doctor"}, system{
			stdout: &out, stderr: &errs, stateDir: dir, doctor: &patient{}, node: healthy{}, director: &patient{directs: true}, output: rightCluster,
			capable: capability.Kernel{Root: fstest.MapFS{}}, kernel: fakeKernel{}, attributes: published{}, listen: silence,
		})
		if diff := cmp.Diff(strings.ReplaceAll(tt.want, "FILE", file), out.String()); diff != "" || errs.Len() > 0 || (code == 0) != (tt.text == "old\n") {
			t.Errorf("%q: exit code %d, %s (-want +got):\n%s", tt.text, code, errs.String(), diff)
		}
	}
}

// shares has the values of node attributes, by their names.
type shares map[string]published

func (s shares) All(_ context.Context, name string) (map[string]string, error) { return s[name], nil }

// TestDoctorOfSynchronisation checks that the doctor listens with the options of the sync resource,
// and reads the node attributes of that resource.
func TestDoctorOfSynchronisation(t *testing.T) {
	dir := t.TempDir()
	store, err := ledger.In(dir, ledger.Director)
	if err != nil {
		t.Fatal(err)
	}
	var l ledger.Ledger
	l.Enter("web-sync:1", ledger.Running)
	l.Hold("web-sync:1", host.Setting{Kind: host.SyncDaemon, Name: "backup"}, host.Off, "--mcast-interface eth1 --syncid 7")
	if err := store.Save(l); err != nil {
		t.Fatal(err)
	}
	listen := func(_ context.Context, backup lvs.SyncDaemon, ports int) ([]lvs.SyncSender, error) {
		if backup.Interface != "eth1" || ports != 1 {
			t.Errorf("%v, %d ports", backup, ports)
		}
		return []lvs.SyncSender{{Addr: netip.MustParseAddr("198.51.100.13"), ID: 9, Version: 1}}, nil
	}
	var out, errs strings.Builder
	code := run(t.Context(), []string{"doctor"}, system{
		stdout: &out, stderr: &errs, stateDir: dir, doctor: &patient{}, node: healthy{}, director: &patient{}, output: rightCluster, listen: listen,
		capable:    capability.Kernel{Root: fstest.MapFS{}},
		kernel:     fakeKernel{},
		attributes: shares{"lvs-sync-web-sync": {"director1": "100", "director2": "0"}},
	})
	for _, want := range []string{"this director ignores the connections that 198.51.100.13 sends\n", "a take-over by node director2 breaks connections\n"} {
		if code != 1 || !strings.Contains(out.String(), want) || errs.Len() > 0 {
			t.Errorf("%d, %q is not in %s%s", code, want, out.String(), errs.String())
		}
	}
	if strings.Contains(out.String(), "director1") {
		t.Error(out.String())
	}
}

// TestDoctorOfHashServices checks that the doctor names the mistakes of the kernel's hash services.
func TestDoctorOfHashServices(t *testing.T) {
	const reals = "-a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 1\n-a -t 192.0.2.10:80 -r 192.0.2.22:80 -g -w 1\n"
	for _, tt := range []struct {
		service, sloppy string
		want            []string
	}{
		{"-A -t 192.0.2.10:80 -s mh -b mh-fallback,mh-port\n", "1", nil},
		{"-A -t 192.0.2.10:80 -s rr\n", "0", nil},
		{"-A -t 192.0.2.10:80 -s mh -b mh-fallback,mh-port\n", "0", []string{"-t 192.0.2.10:80: scheduler mh without sloppy_tcp\n    why: a director that takes over breaks open connections"}},
		{"-A -t 192.0.2.10:80 -s mh\n", "1", []string{"scheduler mh without mh-fallback\n", "scheduler mh without mh-port\n"}},
	} {
		var out, errs strings.Builder
		code := run(t.Context(), []string{"doctor"}, system{
			stdout: &out, stderr: &errs, stateDir: t.TempDir(), doctor: &patient{}, node: healthy{}, director: &patient{directs: true, sloppy: tt.sloppy}, output: rightCluster,
			kernel: fakeKernel{table: tt.service + reals}, capable: capability.Kernel{Root: fstest.MapFS{}}, attributes: published{}, listen: silence,
		})
		for _, want := range tt.want {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%s: %q is not in\n%s", tt.service, want, out.String())
			}
		}
		if strings.Count(out.String(), "without") != len(tt.want) || (len(tt.want) > 0) != (code == 1) {
			t.Errorf("%s: exit code %d, %s%s", tt.service, code, out.String(), errs.String())
		}
	}
}

// TestDoctorOfAForeignService checks that a service without an owner is a hint, and that a host
// without records of lvs-agents gets no hint.
func TestDoctorOfAForeignService(t *testing.T) {
	const hint = "lvsctl: hint: the kernel balances -t 192.0.2.99:25, and nothing checks or moves this service: " +
		"no resource and no health daemon of this node owns it; if no other program needs it: ipvsadm -D -t 192.0.2.99:25\n"
	table, err := lvs.ParseTable("-A -t 192.0.2.10:80 -s rr\n")
	if err != nil {
		t.Fatal(err)
	}
	recorded := t.TempDir()
	store, err := record.In(recorded)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Save(record.Record{ID: "web-ipvs", State: record.Running, Services: table}); err != nil {
		t.Fatal(err)
	}
	for state, want := range map[string]string{recorded: hint, t.TempDir(): ""} {
		var out, errs strings.Builder
		code := run(t.Context(), []string{"doctor"}, system{
			stdout: &out, stderr: &errs, stateDir: state, doctor: &patient{}, node: healthy{}, director: &patient{directs: true}, output: rightCluster,
			kernel: fakeKernel{table: foreign + "-A -t 192.0.2.10:80 -s rr\n"}, capable: capability.Kernel{Root: fstest.MapFS{}}, attributes: published{}, listen: silence,
		})
		if diff := cmp.Diff([]any{0, "fine\n", want}, []any{code, out.String(), errs.String()}); diff != "" {
			t.Errorf("exit code, stdout, stderr (-want +got):\n%s", diff)
		}
	}
}

// TestDoctorOfMarkedDown checks the finding for services with on_marked_down=expire or reset while
// the kernel does not let connections end. Services without it give no finding.
func TestDoctorOfMarkedDown(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "mail.cf")
	store, err := record.In(dir)
	if err := errors.Join(err, os.WriteFile(file, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	for _, r := range []record.Record{
		{ID: "web-ipvs:1", State: record.Running},
		{ID: "mail-ipvs", State: record.Running, File: record.File{Path: file, Digest: load.Digest(nil)}},
	} {
		if err := store.Save(r); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range []control.Snapshot{
		{ID: "a", Config: "resource web-ipvs:1", Services: []control.Service{{ID: "-t 192.0.2.10:80", MarkedDown: "reset"}, {ID: "-t 192.0.2.10:81"}}},
		{ID: "b", Config: "resource mail-ipvs", Services: []control.Service{{ID: "-t 192.0.2.10:25", MarkedDown: "expire"}, {ID: "-t 192.0.2.10:26", MarkedDown: "keep"}}},
	} {
		listener, err := control.Listen(dir, s.ID)
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- control.Serve(ctx, listener, daemon{s}, new(control.Feed)) }()
		defer func() { stop(); <-ended }()
	}
	for expire, want := range map[string]string{
		"": "fine\n", "1": "fine\n",
		"0": `clients of a failed real server of 2 services, for example -t 192.0.2.10:80, get no answer and no error
    why: on_marked_down is reset, and net.ipv4.vs.expire_nodest_conn is 0
    fix: sysctl -w net.ipv4.vs.expire_nodest_conn=1; crm_resource --resource=web-ipvs --set-parameter=expire_nodest_conn --parameter-value=yes
`,
	} {
		var out, errs strings.Builder
		code := run(t.Context(), []string{"doctor"}, system{
			stdout: &out, stderr: &errs, stateDir: dir, doctor: &patient{}, node: healthy{}, director: &patient{directs: true, expire: expire}, output: rightCluster,
			capable: capability.Kernel{Root: fstest.MapFS{}}, kernel: fakeKernel{}, attributes: published{}, listen: silence,
		})
		if diff := cmp.Diff(want, out.String()); diff != "" || errs.Len() > 0 || (code == 0) != (want == "fine\n") {
			t.Errorf("expire_nodest_conn=%s: exit code %d, %s (-want +got):\n%s", expire, code, errs.String(), diff)
		}
	}
}

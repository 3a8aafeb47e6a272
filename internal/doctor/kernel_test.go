package doctor

import (
	"strings"
	"testing"

	"lvs-agents/internal/host"
	"lvs-agents/internal/lvs"
)

// kernel is a kernel with some sysctls. It lacks the scheduler twos.
type kernel struct {
	release     string
	sysctls     map[string]string
	connections int
}

func (k kernel) Release() string        { return k.release }
func (k kernel) All() []host.Capability { return nil }
func (k kernel) Feature(f lvs.Feature) host.Capability {
	if f == "scheduler twos" {
		return host.Capability{Name: string(f), Presence: host.Missing, Why: "no module", Fix: "install it"}
	}
	return host.Capability{Name: string(f), Presence: host.Present}
}

func (k kernel) Sysctl(name string) host.Capability {
	if v, has := k.sysctls[name]; has {
		return host.Capability{Name: name, Presence: host.Present, Value: v}
	}
	return host.Capability{Name: name, Presence: host.Missing, Why: "no file", Fix: "boot another"}
}

func table(t *testing.T, text string) lvs.Table {
	t.Helper()
	parsed, err := lvs.ParseTable(text)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func (k kernel) Connections() (int, bool) { return k.connections, k.connections > 0 }

func TestExamineLimit(t *testing.T) {
	for _, tt := range []struct {
		connections int
		sysctls     map[string]string
		want        string
	}{
		{81, map[string]string{"conn_max": "100"}, "the kernel soon refuses new connections: 81 of 100 connections are in use (net.ipv4.vs.conn_max); " +
			"raise it with sysctl -w net.ipv4.vs.conn_max=N, or shorten the timeouts of connections"},
		{80, map[string]string{"conn_max": "100"}, ""},
		{81, nil, ""},
		{0, map[string]string{"conn_max": "100"}, ""},
	} {
		got := ""
		for _, f := range ExamineLimit(kernel{sysctls: tt.sysctls, connections: tt.connections}) {
			got += f.String()
		}
		if got != tt.want {
			t.Errorf("%d of %v: got %q", tt.connections, tt.sysctls, got)
		}
	}
}

func TestExamineKernel(t *testing.T) {
	n := Needs{Table: table(t, "-A -t 192.0.2.10:80 -s twos\n-A -t 192.0.2.10:81 -s rr"), Sysctls: []string{"sloppy_tcp", "est_nice"}}
	got := ExamineKernel(kernel{release: "6.1.0", sysctls: map[string]string{"sloppy_tcp": "0"}}, n)
	want := []string{"scheduler twos is needed and not available: no module; install it", "est_nice is needed and not available: no file; boot another"}
	for i, f := range got {
		if i >= len(want) || f.String() != want[i] {
			t.Errorf("got %v", f)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d findings, want %d", len(got), len(want))
	}
}

func TestKnownFaults(t *testing.T) {
	const web = "-A -t 192.0.2.10:80 -s rr\n-a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 1"
	for _, tt := range []struct {
		name, table string
		sync        bool
		kernel      kernel
		want        []string // want has the first words of each fault.
	}{
		{"no configuration", "", false, kernel{release: "5.10.0", sysctls: nil}, nil},
		{"a new kernel", web, true, kernel{release: "7.2.7-1", sysctls: map[string]string{"est_nice": "0", "run_estimation": "1"}}, []string{"ipvsadm --stats and --rate show old"}},
		{"no estimation", web, false, kernel{release: "7.2.7", sysctls: map[string]string{"est_nice": "0", "run_estimation": "0"}},
			[]string{"ipvsadm --stats and --rate show old", "ipvsadm --stats and --rate show numbers that do not"}},
		{"threads of estimation on chosen CPUs", web, false, kernel{release: "6.12", sysctls: map[string]string{"est_nice": "0", "est_cpulist": "2-3"}},
			[]string{"ipvsadm --stats and --rate show old", "the estimation threads", "an interface cannot"}},
		{"Debian 12", web, true, kernel{release: "6.1.0-37-amd64", sysctls: map[string]string{"run_estimation": "1"}}, []string{"each measurement", "an interface cannot"}},
		{"RHEL 9 with masq and thresholds", strings.ReplaceAll(web, "-g", "-m") + " -x 9 -y 3", false, kernel{release: "5.14.0-570.el9", sysctls: nil},
			[]string{"a client that uses a port again", "packets of a masq server", "an interface cannot", "a destination can stay overloaded"}},
		{"UDP", "-A -u 192.0.2.10:53 -s rr", false, kernel{release: "7.3", sysctls: map[string]string{"expire_nodest_conn": "0"}}, []string{"connections to a removed UDP server"}},
		{"the first resizable tables", web, false, kernel{release: "7.1.2", sysctls: nil}, []string{"the tables of services"}},
		{"IPv6 and a tunnel", "-A -t [2001:db8::10]:80 -s rr\n-a -t [2001:db8::10]:80 -r [2001:db8::21]:80 -i -w 1", false, kernel{release: "6.18", sysctls: nil},
			[]string{"large packets to tunnel", "an interface cannot", "IPv6 packets"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := KnownFaults(tt.kernel, Needs{Table: table(t, tt.table), Sync: tt.sync})
			for i, f := range got {
				if i >= len(tt.want) || !strings.HasPrefix(f.What, tt.want[i]) {
					t.Errorf("fault %d: %v", i, f)
				}
			}
			if len(got) != len(tt.want) {
				t.Errorf("%d faults, want %d", len(got), len(tt.want))
			}
		})
	}
}

package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lvs-agents/internal/host"
	"lvs-agents/internal/lvs"
)

// fakeKernel is a kernel with a table in ipvsadm syntax. If err is not nil, a read of the table
// returns err.
type fakeKernel struct {
	table string
	err   error
}

func (k fakeKernel) Table(context.Context) (lvs.Table, error) {
	if k.err != nil {
		return nil, k.err
	}
	return lvs.ParseTable(k.table)
}

func (k fakeKernel) Counters(context.Context) ([]lvs.Counters, error) { return nil, k.err }

type noNames struct{}

func (noNames) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	if host == "rs1" {
		return []netip.Addr{netip.MustParseAddr("192.0.2.21")}, nil
	}
	return nil, fmt.Errorf("lookup %s: no such host", host)
}

var files = map[string]string{
	"web.cf": "checktimeout=3 # seconds\nfork=no\nvirtual=192.0.2.10:80\n\treal=192.0.2.21 gate\n\treal=192.0.2.22 gate 2\n" +
		"virtual=5\n\treal=192.0.2.21 masq\n\treal=192.0.2.22 masq\n\tquiescent=no # remove\n",
	"one.cf":      "virtual=192.0.2.10:80\n\treal=rs1 gate\n",
	"empty.cf":    "",
	"bad.cf":      "virtual=192.0.2.10\n\tpasswd=secret\n\tservise=http\n",
	"names.cf":    "virtual=192.0.2.10:80\n\treal=rs9 gate\n",
	"two.cf":      "virtual=192.0.2.10:80\n\treal=rs1:80 gate\n\treal=192.0.2.21:www gate 3\n",
	"receive.cf":  "virtual=192.0.2.10:80\n\treceive=\"a(*SKIP)\"\n\treal=192.0.2.21 gate\nvirtual=192.0.2.11:80\n\treal=192.0.2.21 gate\n",
	"etc/here.cf": "virtual=192.0.2.10:80\n",
	"saved":       "-A -t 192.0.2.10:80 -s wrr\n-a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 1\n",
	"junk":        "IP Virtual Server version 1.2.1 (size=4096)\n",
}

const foreign = "-A -t 192.0.2.99:25 -s rr\n-a -t 192.0.2.99:25 -r 192.0.2.21:25 -g -w 1\n"

func TestCommands(t *testing.T) {
	tests := []struct {
		name, args     string
		kernel         fakeKernel
		code           int
		stdout, stderr string
	}{
		{name: "check a file with warnings", args: "check web.cf", stdout: `
web.cf:1:14: warning: a note after the value; write checktimeout=3
web.cf:9:12: warning: a note after the value; write quiescent=no
web.cf:6: warning: -f 5: service=none has no query: its real servers count as good without a check; use checktype=connect
web.cf: usable: 2 virtual services, 4 real servers; 3 warnings
`},
		{name: "check a good file", args: "check one.cf", stdout: "\none.cf: usable: 1 virtual service, 1 real server; 0 warnings\n"},
		{name: "check an empty file", args: "check empty.cf", code: 1, stdout: `
empty.cf: warning: no virtual service in this file
empty.cf: not usable: no virtual service
`},
		{name: "check a bad file", args: "check bad.cf", code: 1, stdout: `
bad.cf:1:9: error: virtual "192.0.2.10": no port; write 192.0.2.10:PORT, or a number alone for a firewall mark
bad.cf:2:9: warning: no quotes around the value; write passwd="***"
bad.cf:3:2: error: unknown directive "servise"; did you mean "service"?
bad.cf: not usable: 2 errors, 1 warning
`},
		{name: "check several files", args: "check no.cf bad.cf one.cf", code: 1, stderr: "\nlvsctl: no.cf: file does not exist in ., etc\n", stdout: `
bad.cf:1:9: error: virtual "192.0.2.10": no port; write 192.0.2.10:PORT, or a number alone for a firewall mark
bad.cf:2:9: warning: no quotes around the value; write passwd="***"
bad.cf:3:2: error: unknown directive "servise"; did you mean "service"?
bad.cf: not usable: 2 errors, 1 warning
one.cf: usable: 1 virtual service, 1 real server; 0 warnings
`},
		{name: "check looks the file up", args: "check here.cf", stdout: "\netc/here.cf: usable: 1 virtual service, 0 real servers; 0 warnings\n"},
		{name: "check a missing absolute path", args: "check /no/web.cf", code: 1, stderr: "\nlvsctl: /no/web.cf: file does not exist\n"},
		{name: "check a directory", args: "check etc", code: 1, stderr: "\nlvsctl: etc: not a regular file\n"},

		{name: "plan on an empty table", args: "plan one.cf", stdout: `
ipvsadm -A -t 192.0.2.10:80 -s wrr
ipvsadm -a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 1
`},
		{name: "plan leaves other services alone", args: "plan one.cf", kernel: fakeKernel{table: foreign + "-A -t 192.0.2.10:80 -s rr\n"}, stdout: `
ipvsadm -E -t 192.0.2.10:80 -s wrr
ipvsadm -a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 1
`},
		{name: "plan with nothing to do", args: "plan one.cf", kernel: fakeKernel{table: foreign + files["saved"]}, stdout: "\n# nothing to do\n"},
		{name: "plan against a saved table", args: "plan web.cf --against saved", kernel: fakeKernel{err: errors.New("not asked")}, stdout: `
ipvsadm -A -f 5 -s wrr
ipvsadm -a -t 192.0.2.10:80 -r 192.0.2.22:80 -g -w 2
ipvsadm -a -f 5 -r 192.0.2.21:0 -m -w 1
ipvsadm -a -f 5 -r 192.0.2.22:0 -m -w 1
`, stderr: `
web.cf:1:14: warning: a note after the value; write checktimeout=3
web.cf:9:12: warning: a note after the value; write quiescent=no
`},
		{name: "plan against junk", args: "plan one.cf --against=junk", code: 1,
			stderr: "\nlvsctl: junk: line 1: \"IP Virtual Server version 1.2.1 (size=4096)\": no command; one of -A -E -D -a -e -d is expected\n"},
		{name: "plan against a missing file", args: "plan one.cf --against=no", code: 1, stderr: "\nlvsctl: no: file does not exist in .\n"},
		{name: "plan without IPVS in the kernel", args: "plan one.cf", kernel: fakeKernel{err: host.NotInstalled("IPVS is not in this kernel; modprobe ip_vs")}, code: 1,
			stderr: "\nlvsctl: IPVS is not in this kernel; modprobe ip_vs\n"},
		{name: "plan of a bad file", args: "plan bad.cf", code: 1, stderr: `
bad.cf:1:9: error: virtual "192.0.2.10": no port; write 192.0.2.10:PORT, or a number alone for a firewall mark
bad.cf:2:9: warning: no quotes around the value; write passwd="***"
bad.cf:3:2: error: unknown directive "servise"; did you mean "service"?
lvsctl: bad.cf: not usable: 2 errors, 1 warning
`},
		{name: "plan with an unknown name", args: "plan names.cf", code: 1, stderr: `
names.cf:2: warning: real server rs9: lookup rs9: no such host, so it is left out
lvsctl: names.cf:2: real server rs9: lookup rs9: no such host, and no real server is left
`},
		{name: "check with an unknown name", args: "check names.cf", code: 1, stdout: `
names.cf:2: warning: real server rs9: lookup rs9: no such host, so it is left out
names.cf:2: error: real server rs9: lookup rs9: no such host, and no real server is left
names.cf: not usable: 1 error, 1 warning
`},
		{name: "check two names of one address", args: "check two.cf", stdout: `
two.cf:3: warning: real server 192.0.2.21:80 is given twice, first in line 2 with other values; the last one counts; delete one of them
two.cf: usable: 1 virtual service, 1 real server; 1 warning
`},
		{name: "plan with two names of one address", args: "plan two.cf", stdout: `
ipvsadm -A -t 192.0.2.10:80 -s wrr
ipvsadm -a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 3
`, stderr: `
two.cf:3: warning: real server 192.0.2.21:80 is given twice, first in line 2 with other values; the last one counts; delete one of them
`},
		{name: "check an expression that cannot be used", args: "check receive.cf", code: 1, stdout: `
receive.cf:2:10: error: receive "a(*SKIP)" cannot be used: (*SKIP) is not understood at character 2, so its real servers are never up; write the expression without it
receive.cf: usable, except real servers that are never up: 2 virtual services, 2 real servers; 1 error, 0 warnings
`},
		{name: "plan with such an expression", args: "plan receive.cf", stdout: `
ipvsadm -A -t 192.0.2.10:80 -s wrr
ipvsadm -A -t 192.0.2.11:80 -s wrr
ipvsadm -a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 1
ipvsadm -a -t 192.0.2.11:80 -r 192.0.2.21:80 -g -w 1
`, stderr: `
receive.cf:2:10: error: receive "a(*SKIP)" cannot be used: (*SKIP) is not understood at character 2, so its real servers are never up; write the expression without it
`},
		{name: "plan against a device", args: "plan one.cf --against=/dev/zero", code: 1, stderr: "\nlvsctl: /dev/zero: not a regular file\n"},

		{name: "version", args: "version", stdout: "\nlvsctl 1.2.3\n"},
		{name: "no command is status", code: 1, stderr: "\nlvsctl: no health daemon runs on this node\n"},
		{name: "no file", args: "check", code: 2, stderr: "\nlvsctl: expected \"<file> ...\"; see lvsctl --help\n"},
		{name: "unknown command", args: "chek", code: 2, stderr: "\nlvsctl: unexpected argument chek, did you mean \"check\"?; see lvsctl --help\n"},
		{name: "unknown option", args: "plan --againsr=x one.cf", code: 2, stderr: "\nlvsctl: unknown flag --againsr, did you mean \"--against\"?; see lvsctl --help\n"},
	}
	t.Chdir(t.TempDir())
	if err := os.Mkdir("etc", 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			code, stdout, stderr := lvsctl(t, tt.kernel, strings.Fields(tt.args)...)
			got := []any{code, stdout, stderr}
			want := []any{tt.code, strings.TrimPrefix(tt.stdout, "\n"), strings.TrimPrefix(tt.stderr, "\n")}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("exit code, stdout, stderr (-want +got):\n%s", diff)
			}
		})
	}
}

func lvsctl(t *testing.T, k kernel, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs strings.Builder
	code = run(t.Context(), args, system{
		stdout: &out, stderr: &errs, output: noCluster, dirs: []string{".", "etc"}, resolver: noNames{}, kernel: k, version: "1.2.3",
	})
	return code, out.String(), errs.String()
}

func TestHelpIsNotAnError(t *testing.T) {
	for _, args := range [][]string{{"--help"}, {"plan", "--help"}, {"check", "-h", "x"}} {
		code, stdout, stderr := lvsctl(t, fakeKernel{}, args...)
		if code != 0 || !strings.HasPrefix(stdout, "Usage: lvsctl ") || stderr != "" {
			t.Errorf("%q: exit code %d, stdout %q, stderr %q", args, code, stdout, stderr)
		}
	}
}

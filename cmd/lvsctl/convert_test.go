package main

import (
	"os"
	"strings"
	"testing"
)

// TestConvert converts a file to each format. The complete outputs are in the tests of package crm.
func TestConvert(t *testing.T) {
	const login = "virtual=192.0.2.10:3306\n\treal=192.0.2.21 gate\n\tlogin=\"checker\"\n\tpasswd=\"in-clear\"\n\tdatabase=\"x\"\n\trequest=\"SELECT 1\"\n"
	const web = "virtual=192.0.2.10:80\n\treal=rs1 gate\n\treal=192.0.2.22 gate 2\n\tfallback=127.0.0.1 gate\n"
	t.Chdir(t.TempDir())
	for name, text := range map[string]string{
		"web.cf": web, "login.cf": login, "mark.cf": "virtual=10\n\treal=192.0.2.21 gate\n", "name.cf": "virtual=www:80\n\treal=192.0.2.21 gate\n",
		"bad.cf": "virtual=192.0.2.10\n", "joined.cf": "primary = 192.0.2.2 service = lvs\n",
		"lvs.cf": "backup = 192.0.2.3\nprimary = 192.0.2.2\nbackup_active = 1\nvirtual web {\nactive = 1\naddress = 192.0.2.10 eth0\nserver a {\nactive = 1\naddress = 192.0.2.21\n}\n}\n", "table": "-A -t 192.0.2.10:80 -s rr\n-a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 1\n", "other": "virtual_server 192.0.2.10 80 {\n}\n", "haresources": "director1 192.0.2.11/24/eth0 ldirectord::mail.cf\n", "ha.cf": "node director1 director2\nauto_failback off\n", "mail.cf": "virtual=192.0.2.11:25\n\treal=192.0.2.21 gate\n\tchecktype=connect\n",
	} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("web.cf", "link"); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args   string
		code   int
		stdout []string // stdout are parts of the output. Nil means no output.
		stderr string
	}{
		{args: "web.cf", stdout: []string{"primitive lvs-vip ocf:lvs:vip \\\n    params ip=192.0.2.10 \\\n", "clone cl-ipvs lvs-ipvs", "params config=/etc/ha.d/ldirectord.cf"}, stderr: `
web.cf: warning: the resources read /etc/ha.d/ldirectord.cf on every director; write it with --to=ldirectord.cf --output=ldirectord.cf
web.cf: warning: the cluster starts no resource until it has fencing; configure your fence agents, and do not set stonith-enabled=false
`},
		{args: "mail.cf --inline --to=pcs --form=group --name=mail", stdout: []string{
			`ocf:lvs:ipvs virtual=192.0.2.11:25 real="192.0.2.21 gate 1"`, "ipvs=mail-ipvs checktimeout=5 checkinterval=10 quiescent=false", "pcs resource group add mail mail-ipvs mail-vip mail-health",
		}, stderr: `
mail.cf: warning: the cluster starts no resource until it has fencing; configure your fence agents, and do not set stonith-enabled=false
`},
		{args: "table --inline --name=web", stdout: []string{`params virtual=192.0.2.10:80 real="192.0.2.21 gate 1" scheduler=rr`}, stderr: `
table: warning: the commands check no real server; each one with TCP gets a connect check; choose better checks in ldirectord.cf
table: warning: the cluster starts no resource until it has fencing; configure your fence agents, and do not set stonith-enabled=false
`},
		{args: "web.cf --inline", code: 1, stderr: "\nweb.cf: error: the parameters of resources cannot have this configuration: -t 192.0.2.10:80 has a host name; use addresses, or a file\n"},
		{args: "web.cf mail.cf --to=ipvsadm", stdout: []string{"-A -t 192.0.2.10:80 -s wrr\n-a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 1\n", "-A -t 192.0.2.11:25 -s wrr\n"}, code: 0, stderr: `
web.cf:1: dropped: the table cannot have fallback of -t 192.0.2.10:80
mail.cf:1: dropped: the table cannot have checktype, checktimeout of the real servers of -t 192.0.2.11:25
`},
		{args: "web.cf --to=haresources --node=director1", stdout: []string{"director1 lvsipvs::/etc/ha.d/ldirectord.cf lvshealth::/etc/ha.d/ldirectord.cf lvsvip::192.0.2.10\n"}, stderr: `
web.cf: warning: the resources read /etc/ha.d/ldirectord.cf on every director; write it with --to=ldirectord.cf --output=ldirectord.cf
`},
		{args: "web.cf --to=cib", stdout: []string{`<rsc_colocation id="lvs-vip-with-ipvs" rsc="lvs-vip" with-rsc="cl-ipvs" score="INFINITY"/>`}, stderr: `
web.cf: warning: the resources read /etc/ha.d/ldirectord.cf on every director; write it with --to=ldirectord.cf --output=ldirectord.cf
web.cf: warning: the cluster starts no resource until it has fencing; configure your fence agents, and do not set stonith-enabled=false
`},
		{args: "login.cf --to=ldirectord.cf", stdout: []string{`passwd="***"`}, stderr: "\nlogin.cf: warning: logins and passwords are not shown; write the file with --secrets\n"},
		{args: "login.cf --to=ldirectord.cf --secrets", code: 1, stderr: "\nlvsctl: --secrets needs --output: passwords are not written to standard output\n"},
		{args: "mark.cf", code: 1, stderr: `
mark.cf: error: no virtual address: the services have only packet marks; add a file that has the virtual addresses
mark.cf:1: warning: no rule gives packets the mark 10 of -f 10; add a resource of ocf:lvs:fwmark
`},
		{args: "name.cf", code: 1, stderr: `
name.cf:1: error: virtual service -t www:80 has a host name instead of an address; write the address: the cluster needs it for the resource of the virtual address
name.cf: error: no virtual address: the services have only packet marks; add a file that has the virtual addresses
`},
		{args: "bad.cf", code: 1, stderr: "\nbad.cf:1:9: error: virtual \"192.0.2.10\": no port; write 192.0.2.10:PORT, or a number alone for a firewall mark\n"},
		{args: "web.cf --output=link", code: 1, stderr: `
web.cf: warning: the resources read /etc/ha.d/ldirectord.cf on every director; write it with --to=ldirectord.cf --output=ldirectord.cf
web.cf: warning: the cluster starts no resource until it has fencing; configure your fence agents, and do not set stonith-enabled=false
lvsctl: --output link is not a regular file; give another name
`},
		{args: "web.cf --to=ipvsadm --inline", code: 1, stderr: "\nlvsctl: --inline has no effect with --to=ipvsadm; leave it out\n"},
		{args: "web.cf --to=ipvsadm --form=group", code: 1, stderr: "\nlvsctl: --form has no effect with --to=ipvsadm; leave it out\n"},
		{args: "web.cf --to=ldirectord.cf --config=/etc/web.cf", code: 1, stderr: "\nlvsctl: --config has no effect with --to=ldirectord.cf; leave it out\n"},
		{args: "web.cf --config=web.cf", code: 2, stderr: "\nlvsctl: convert: --config web.cf is a relative name; write the path, /etc/ha.d/web.cf for example; see lvsctl --help\n"},
		{args: "web.cf --link director1=192.0.2.2", code: 1, stderr: "\nlvsctl: --link has no effect with --to=crm; leave it out\n"},
		{args: "web.cf --to=corosync", code: 1, stderr: "\nweb.cf: error: the configuration has 0 directors, and a cluster has two or more; give the files of all directors\n"},
		{args: "ha.cf --to=corosync --link director3=192.0.2.2", code: 1, stderr: "\nha.cf: error: --link \"director3\": the files have no director with this name; give the name of --host, or of the files\n"},
		{args: "ha.cf --to=corosync --link director1=eth0", code: 1, stderr: "\nha.cf: error: --link director1: \"eth0\" is not an address\n"},
		{args: "ha.cf --to=corosync --name=web --link director1=192.0.2.2,198.51.100.2 --link director2=192.0.2.3,198.51.100.3", stdout: []string{
			"cluster_name: web\n", "name: director2\n        nodeid: 2\n        ring0_addr: 192.0.2.3\n        ring1_addr: 198.51.100.3\n", "two_node: 1\n",
		}},
		{args: "web.cf --to=pcs --node=director1", code: 1, stderr: "\nlvsctl: --node has no effect with --to=pcs; leave it out\n"},
		{args: "web.cf --from=ldirector", code: 1, stderr: "\nlvsctl: web.cf: unknown format \"ldirector\"; did you mean \"ldirectord\"?\n"},
		{args: "web.cf --to=crmsh", code: 2, stderr: "\nlvsctl: --to must be one of \"crm\",\"pcs\",\"cib\",\"haresources\",\"ldirectord.cf\",\"keepalived\",\"ipvsadm\",\"corosync\" but got \"crmsh\"; see lvsctl --help\n"},
		{args: "haresources ha.cf mail.cf --form=group --host=director1=lb1", stdout: []string{
			"ocf:lvs:vip \\\n    params ip=192.0.2.11 nic=eth0 cidr_netmask=24 ", "location lvs-prefers-lb1 lvs 300: lb1\n",
		}, stderr: `
haresources: warning: the resources read /etc/ha.d/ldirectord.cf on every director; write it with --to=ldirectord.cf --output=ldirectord.cf
haresources: warning: the cluster starts no resource until it has fencing; configure your fence agents, and do not set stonith-enabled=false
`},
		{args: "lvs.cf --to=ipvsadm --host=192.0.2.2=lb1", stdout: []string{"-A -t 192.0.2.10:80 -s wlc\n"}, stderr: `
lvs.cf:1: warning: the file does not have the name of the director 192.0.2.3; give the name that ` + "`uname -n`" + ` prints: --host 192.0.2.3=NAME
lvs.cf:4: dropped: the table cannot have negotiatetimeout or checktimeout, rise, httpstatus, request of the real servers of -t 192.0.2.10:80
`},
		{args: "table --to=ipvsadm", stdout: []string{"-A -t 192.0.2.10:80 -s rr\n"}, stderr: `
table: warning: the commands check no real server; each one with TCP gets a connect check; choose better checks in ldirectord.cf
`},
		{args: "ha.cf --to=ldirectord.cf --output=web.cf", code: 1, stderr: `
ha.cf: error: nothing of the files has a place in the format ldirectord.cf; give the files that have the virtual services to the same command
`},
		{args: "joined.cf --to=ipvsadm --strict", code: 1, stderr: "\njoined.cf: warning: no active virtual service in this file\njoined.cf:1: error: the line is not in the form of lvs.cf; correct it, or leave out --strict\n"},
		{args: "haresources login.cf --to=ipvsadm", stdout: []string{"-A -t 192.0.2.10:3306 -s wrr\n"}, stderr: `
haresources:1: warning: the services of ldirectord::mail.cf are in /etc/ha.d/mail.cf; give this file to the same command
login.cf:1: dropped: the table cannot have request, database, login, passwd of the real servers of -t 192.0.2.10:3306
`},
	} {
		code, stdout, stderr := lvsctl(t, fakeKernel{}, append([]string{"convert"}, strings.Fields(tt.args)...)...)
		if code != tt.code || stderr != strings.TrimPrefix(tt.stderr, "\n") {
			t.Errorf("%s: exit code %d, stderr\n%swant %d,%s", tt.args, code, stderr, tt.code, tt.stderr)
		}
		for _, part := range tt.stdout {
			if !strings.Contains(stdout, part) {
				t.Errorf("%s: no %q in\n%s", tt.args, part, stdout)
			}
		}
		if tt.stdout == nil && stdout != "" || strings.Contains(stdout, "in-clear") {
			t.Errorf("%s: stdout\n%s", tt.args, stdout)
		}
	}
}

func TestConvertedFileHasTheSecretsAndNoOtherReader(t *testing.T) {
	t.Chdir(t.TempDir())
	text := "virtual=192.0.2.10:3306\n\treal=192.0.2.21 gate\n\tlogin=\"checker\"\n\tpasswd=\"in-clear\"\n\tdatabase=\"x\"\n\trequest=\"SELECT 1\"\n"
	for _, name := range []string{"login.cf", "out.cf"} { // out.cf is there already, and every user can read it.
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		args string
		mode os.FileMode
		want bool
	}{{"--strict", 0o644, false}, {"--secrets", 0o600, true}, {"--strict", 0o600, false}} {
		code, stdout, stderr := lvsctl(t, fakeKernel{}, "convert", "login.cf", "--to=ldirectord.cf", "--output=out.cf", tt.args)
		written, err := os.ReadFile("out.cf")
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat("out.cf")
		if err != nil || info.Mode() != tt.mode || strings.Contains(string(written), "in-clear") != tt.want || code != 0 || stdout != "" {
			t.Errorf("%s: %v, mode %v, exit code %d, %q, %s\n%s", tt.args, err, info.Mode(), code, stdout, stderr, written)
		}
	}
	left, err := os.ReadDir(".")
	if err != nil || len(left) != 2 {
		t.Errorf("other files are left: %v, %v", left, err)
	}
}

// TestConvertReadsIncludedFiles checks the files of keepalived.conf, from its directory.
func TestConvertReadsIncludedFiles(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.MkdirAll("k/conf.d", 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"k/keepalived.conf": "include conf.d/*.conf\ninclude missing.conf\n", "k/conf.d/program.conf": "unknown\n",
		"k/conf.d/web.conf": "virtual_server 192.0.2.10 80 {\nprotocol TCP\nsnmp_name x\nreal_server 192.0.2.21 80 {\n}\n}\n",
	} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod("k/conf.d/program.conf", 0o755); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := lvsctl(t, fakeKernel{}, "convert", "k/keepalived.conf", "--to=ipvsadm")
	const want = "k/keepalived.conf:1: warning: include conf.d/*.conf: k/conf.d/program.conf is a program or a directory, and keepalived continues without the file; correct the name, or delete the line\n" +
		"k/keepalived.conf:2: warning: include missing.conf: no file matches, and keepalived continues without it; correct the name, or delete the line\n" +
		"k/conf.d/web.conf:3: dropped: snmp_name x: the programs have no SNMP\n"
	if code != 0 || !strings.Contains(stdout, "-a -t 192.0.2.10:80 -r 192.0.2.21:80 -m -w 1\n") || stderr != want {
		t.Errorf("exit code %d, stdout\n%s\nstderr\n%s", code, stdout, stderr)
	}
}

// TestConvertNamesTheFileOfEachProblem converts two files that have a problem each.
func TestConvertNamesTheFileOfEachProblem(t *testing.T) {
	t.Chdir(t.TempDir())
	for name, text := range map[string]string{
		"one.cf":      "logfile=\"/var/log/one\"\n\nvirtual=192.0.2.10:80\n\treal=192.0.2.21 gate\n\tfallback=127.0.0.1 gate\n",
		"two.cf":      "autoreload=yes\nvirtual=192.0.2.11:80\n\treal=192.0.2.21 gate\n\treal=rs1 gate\n\treal=rs1 gate 2\n\tfallback=127.0.0.1 gate\n",
		"groups.conf": "vrrp_instance a {\nvirtual_ipaddress {\n192.0.2.10/24\n}\n}\nvrrp_instance b {\nvirtual_ipaddress {\n192.0.2.11/24\n}\n}\n",
		"pair.cf":     "backup = 192.0.2.3\nprimary = 192.0.2.2\nbackup_active = 1\nvirtual web {\nactive = 1\naddress = 192.0.2.10 eth0\nvip_nmask = 255.255.255.0\nport = 25\nreentry = 1\nserver a {\nactive = 1\naddress = 192.0.2.21\n}\n}\n",
		"three.cf":    "\nvirtual=192.0.2.21:80\n\treal=192.0.2.22 gate\n", "four.cf": "virtual=rs1:80\n\treal=192.0.2.22 gate\n",
	} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct{ args, want string }{
		{"one.cf two.cf --to=ipvsadm", `
two.cf:4: warning: real server 192.0.2.21:80 is given twice, first in line 3; delete this one
two.cf:5: warning: real server 192.0.2.21:80 is given twice, first in line 4 with other values; the last one counts; delete one of them
two.cf: dropped: the table cannot have autoreload
one.cf: dropped: the table cannot have logfile
one.cf:3: dropped: the table cannot have fallback of -t 192.0.2.10:80
two.cf:2: dropped: the table cannot have fallback of -t 192.0.2.11:80
`},
		{"one.cf two.cf --to=keepalived", `
two.cf:4: error: rs1 of -t 192.0.2.11:80 is a host name, and keepalived needs an address; write the address
two.cf:5: error: rs1 of -t 192.0.2.11:80 is a host name, and keepalived needs an address; write the address
two.cf: dropped: keepalived.conf cannot have autoreload
one.cf: dropped: keepalived.conf cannot have logfile
one.cf:3: dropped: keepalived.conf cannot have request of the real servers of -t 192.0.2.10:80
two.cf:2: dropped: keepalived.conf cannot have the real servers of -t 192.0.2.11:80
`},
		{"pair.cf --to=keepalived --host=192.0.2.2=director1 --host=192.0.2.3=director2 --node=director2 --output=keepalived.conf", `
pair.cf: warning: the virtual_router_id of each instance is chosen here, and there is no authentication; give both directors the same, and no other VRRP router of the network
pair.cf:2: warning: the director director1 needs its own keepalived.conf; write it with --to=keepalived --node=director1
pair.cf:2: dropped: keepalived.conf cannot have the name of the director director1
pair.cf:1: dropped: keepalived.conf cannot have the name of the director director2
`},
		{"pair.cf --to=keepalived --node=director3", `
pair.cf:2: warning: the file does not have the name of the director 192.0.2.2; give the name that ` + "`uname -n`" + ` prints: --host 192.0.2.2=NAME
pair.cf:1: warning: the file does not have the name of the director 192.0.2.3; give the name that ` + "`uname -n`" + ` prints: --host 192.0.2.3=NAME
pair.cf: error: the files have no director "director3"; give the name of --host, or of the files
`},
		{"one.cf groups.conf --to=haresources --inline --node=director1", `
groups.conf: warning: no virtual service in this file
one.cf: error: haresources cannot have 2 groups of virtual addresses: each needs its own services, their parameters have blanks, and haresources has no quotes; put all addresses into one group, or write resources for Pacemaker with --to=crm
`},
		{"three.cf four.cf", `
four.cf:1: error: virtual service -t rs1:80 has a host name instead of an address; write the address: the cluster needs it for the resource of the virtual address
`},
		{"three.cf four.cf --to=ipvsadm", `
four.cf:1: warning: virtual server rs1: virtual service -t 192.0.2.21:80 is also in line 2 of three.cf, so it is left out; delete one of them
`},
	} {
		_, _, stderr := lvsctl(t, fakeKernel{}, append([]string{"convert"}, strings.Fields(tt.args)...)...)
		if stderr != tt.want[1:] {
			t.Errorf("%s: stderr\n%s\nwant%s", tt.args, stderr, tt.want)
		}
	}
}

func TestConvertShowsTheFirstProblems(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("big.conf", []byte("vrrp_instance x {\n}\n"+strings.Repeat("word 1\n", 3000)), 0o644); err != nil {
		t.Fatal(err)
	}
	_, _, stderr := lvsctl(t, fakeKernel{}, "convert", "big.conf")
	if lines := strings.Count(stderr, "\n"); lines > mostShown+20 || !strings.Contains(stderr, "big.conf: warning: 2102 more problems") {
		t.Errorf("%d lines, the end is %s", lines, stderr[max(0, len(stderr)-300):])
	}
}

package params

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lvs-agents/internal/config"
	"lvs-agents/internal/lvs"
)

// tableOf returns the table that the parameters describe. The error has all problems.
func tableOf(s Services) (lvs.Table, error) {
	cfg, problems := Parse("", s)
	if cfg == nil {
		var errs []error
		for _, p := range problems {
			errs = append(errs, errors.New(p.String()))
		}
		return nil, errors.Join(errs...)
	}
	table, problems := cfg.Table(context.Background(), nil)
	return table, config.Err(problems)
}

func TestServices(t *testing.T) {
	const web, reals = "192.0.2.10:80", "192.0.2.21 gate, 192.0.2.22 gate 3"
	tests := []struct {
		name string
		in   Services
		want string
	}{
		{"the least", Services{Virtual: web}, "-A -t 192.0.2.10:80 -s wrr\n"},
		{"scheduler and real servers", Services{Virtual: web, Real: reals, Scheduler: "rr"}, `-A -t 192.0.2.10:80 -s rr
-a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 1
-a -t 192.0.2.10:80 -r 192.0.2.22:80 -g -w 3
`},
		{"several services", Services{Virtual: "192.0.2.10:80,192.0.2.10:443 7", Real: "192.0.2.21->192.0.2.22 ipip"}, `-A -t 192.0.2.10:80 -s wrr
-a -t 192.0.2.10:80 -r 192.0.2.21:80 -i -w 1
-a -t 192.0.2.10:80 -r 192.0.2.22:80 -i -w 1
-A -t 192.0.2.10:443 -s wrr
-a -t 192.0.2.10:443 -r 192.0.2.21:443 -i -w 1
-a -t 192.0.2.10:443 -r 192.0.2.22:443 -i -w 1
-A -f 7 -s wrr
-a -f 7 -r 192.0.2.21:0 -i -w 1
-a -f 7 -r 192.0.2.22:0 -i -w 1
`},
		{"separators and blanks", Services{Virtual: " 192.0.2.10:80\n", Real: "\n 192.0.2.21 masq ;192.0.2.22 -> 192.0.2.23:8080  masq 0,\n"}, `-A -t 192.0.2.10:80 -s wrr
-a -t 192.0.2.10:80 -r 192.0.2.21:80 -m -w 1
-a -t 192.0.2.10:80 -r 192.0.2.22:8080 -m -w 0
-a -t 192.0.2.10:80 -r 192.0.2.23:8080 -m -w 0
`},
		{"IPv6", Services{Virtual: "[2001:db8::10]:80", Real: "[2001:db8::21] gate", Persistent: 60, Netmask: "64"}, `-A -t [2001:db8::10]:80 -s wrr -p 60 -M 64
-a -t [2001:db8::10]:80 -r [2001:db8::21]:80 -g -w 1
`},
		{"a mark has the family of its real servers", Services{Virtual: "5", Real: "[2001:db8::21] gate"}, "-A -f 5 -6 -s wrr\n-a -f 5 -6 -r [2001:db8::21]:0 -g -w 1\n"},
		{"UDP for port 53", Services{Virtual: "192.0.2.10:53"}, "-A -u 192.0.2.10:53 -s wrr\n"},
		{"protocol", Services{Virtual: "192.0.2.10:53", Protocol: "tcp"}, "-A -t 192.0.2.10:53 -s wrr\n"},
		{"persistence", Services{Virtual: "192.0.2.10:0", Persistent: 600, Netmask: "255.255.255.0"}, "-A -t 192.0.2.10:0 -s wrr -p 600 -M 255.255.255.0\n"},

		{"nothing", Services{}, `virtual "": no virtual service; write ADDRESS:PORT, [IPV6-ADDRESS]:PORT or a firewall mark`},
		{"no port", Services{Virtual: "192.0.2.10"}, `virtual "192.0.2.10": no port; write 192.0.2.10:PORT, or a number alone for a firewall mark`},
		{"name", Services{Virtual: "web:80"}, `virtual "web:80": a host name; only addresses can be used here; write ADDRESS:PORT`},
		{"name of a real server", Services{Virtual: web, Real: "rs1 gate"}, `real "rs1 gate": a host name; only addresses can be used here; write the address`},
		{"no method", Services{Virtual: web, Real: "192.0.2.21:80"}, `real "192.0.2.21:80": forwarding method missing; write gate, masq, ipip, gue or gre after the address`},
		{"unknown method", Services{Virtual: web, Real: "192.0.2.21 dr"}, `real "192.0.2.21 dr": unknown forwarding method "dr"; use gate (direct routing), masq (NAT), or a tunnel: ipip, gue or gre`},
		{"request", Services{Virtual: web, Real: `192.0.2.21 gate 1 "a", "b"`}, `real "192.0.2.21 gate 1 \"a\"": 1 quoted string; write both, "REQUEST", "RECEIVE"
real "\"b\"": "\"b\"" is neither an address nor a host name; write ADDRESS:PORT`},
		{"thresholds", Services{Virtual: web, Real: `192.0.2.21 gate 1 u:5 l:1`}, `-A -t 192.0.2.10:80 -s wrr
-a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 1 -x 5 -y 1
`},
		{"tunnels", Services{Virtual: web, Real: "192.0.2.21 gue 2 port:6081 csum; 192.0.2.22 gre 1 csum, [2001:db8::23] gue 1 remcsum, 192.0.2.24 ipip"}, `-A -t 192.0.2.10:80 -s wrr
-a -t 192.0.2.10:80 -r 192.0.2.21:80 -i -w 2 --tun-type gue --tun-port 6081 --tun-csum
-a -t 192.0.2.10:80 -r 192.0.2.22:80 -i -w 1 --tun-type gre --tun-csum
-a -t 192.0.2.10:80 -r [2001:db8::23]:80 -i -w 1 --tun-type gue --tun-port 6080 --tun-remcsum
-a -t 192.0.2.10:80 -r 192.0.2.24:80 -i -w 1
`},
		{"one packet, engine and kinds", Services{Virtual: "192.0.2.10:5060/udp 7/fwm6 7/fwm4", Real: "192.0.2.21 ipip", OPS: "yes", Persistent: 60, Engine: "sip"}, `-A -u 192.0.2.10:5060 -s wrr -p 60 --pe sip -o
-a -u 192.0.2.10:5060 -r 192.0.2.21:5060 -i -w 1
-A -f 7 -6 -s wrr -p 60 --pe sip -o
-a -f 7 -6 -r 192.0.2.21:0 -i -w 1
-A -f 7 -s wrr -p 60 --pe sip -o
-a -f 7 -r 192.0.2.21:0 -i -w 1
`},
		{"ranges", Services{Virtual: "192.0.2.10->192.0.2.11:80-81/sctp"}, `-A --sctp-service 192.0.2.10:80 -s wrr
-A --sctp-service 192.0.2.10:81 -s wrr
-A --sctp-service 192.0.2.11:80 -s wrr
-A --sctp-service 192.0.2.11:81 -s wrr
`},
		{"range of ports that has a port of UDP", Services{Virtual: "192.0.2.10:53-54"}, "-A -t 192.0.2.10:53 -s wrr\n-A -t 192.0.2.10:54 -s wrr\n"},
		{"one packet of TCP", Services{Virtual: web, OPS: "yes"}, `virtual service -t 192.0.2.10:80: one-packet scheduling has no effect for tcp; use udp or a firewall mark`},
		{"engine of TCP", Services{Virtual: web, Persistent: 60, Engine: "sip"}, `virtual service -t 192.0.2.10:80: persistence engine sip has no effect for tcp; use udp or a firewall mark`},
		{"engine without persistence", Services{Virtual: "7", Engine: "sip"}, `virtual service -f 7: persistence engine sip has no effect without persistence; set persistent`},
		{"unknown engine", Services{Virtual: "7", Persistent: 60, Engine: "rtp"}, `unknown persistence engine "rtp"; use sip`},
		{"checksum of ipip", Services{Virtual: web, Real: "192.0.2.21 ipip 1 csum"}, `real "192.0.2.21 ipip 1 csum": "csum" after the weight; delete it`},
		{"remote checksum of gre", Services{Virtual: web, Real: "192.0.2.21 gre 1 remcsum"}, `virtual service -t 192.0.2.10:80: real server 192.0.2.21:80: gre tunnels have no remcsum; use gue`},
		{"port of gre", Services{Virtual: web, Real: "192.0.2.21 gre 1 port:6080"}, `virtual service -t 192.0.2.10:80: real server 192.0.2.21:80: gre tunnels have no UDP port; use gue`},
		{"port 0 of gue", Services{Virtual: web, Real: "192.0.2.21 gue port:0"}, `virtual service -t 192.0.2.10:80: real server 192.0.2.21:80: a gue tunnel needs a UDP port; use port:6080`},
		{"thresholds that cross", Services{Virtual: web, Real: "192.0.2.21 gate 1 l:9 u:5"}, `virtual service -t 192.0.2.10:80: real server 192.0.2.21:80: lower threshold 9 is above the upper threshold 5`},
		{"heavy", Services{Virtual: web, Real: "192.0.2.21 gate 65536"}, `real "192.0.2.21 gate 65536": weight "65536" is not a number from 0 to 65535`},
		{"mark 0", Services{Virtual: "0", Real: "192.0.2.21 gate"}, `virtual "0": firewall mark "0" is not a number from 1 to 4294967295`},
		{"multicast", Services{Virtual: web, Real: "224.0.0.1 gate"}, `virtual service -t 192.0.2.10:80: real server 224.0.0.1:80: a multicast address; use the address of one host`},
		{"link-local", Services{Virtual: "5", Real: "[fe80::1] gate"}, `virtual service -f 5 -6: real server [fe80::1]:0: a link-local address; use a global address, because IPVS has no zones`},
		{"timeouts", Services{Virtual: web, Timeouts: "tcp 0"}, `lvs_timeouts "tcp 0": timeout tcp "0" is not a number of seconds from 1 to 2678400`},
		{"long range", Services{Virtual: "192.0.2.0->192.0.2.255:1-1000"}, `virtual "192.0.2.0->192.0.2.255:1-1000": 256000 virtual services in "192.0.2.0->192.0.2.255:1-1000"; at most 4096; write a shorter range, or a firewall mark`},
		{"reversed ports", Services{Virtual: "192.0.2.10:90-80"}, `virtual "192.0.2.10:90-80": "90-80" is not a range of at most 4096 ports`},
		{"blanks for separators", Services{Virtual: web, Real: `192.0.2.21 gate 192.0.2.22 gate`}, `real "192.0.2.21 gate 192.0.2.22 gate": weight "192.0.2.22" is not a number from 0 to 65535`},
		{"all at once", Services{Virtual: "x:80 192.0.2.10:80", Real: "192.0.2.21 gate x; [::1 gate"}, `virtual "x:80": a host name; only addresses can be used here; write ADDRESS:PORT
real "192.0.2.21 gate x": weight "x" is not a number from 0 to 65535
real "[::1 gate": "[::1" has no closing bracket; write [ADDRESS]:PORT`},
		{"range", Services{Virtual: web + " 5", Real: "192.0.2.22->192.0.2.21 gate"}, `real "192.0.2.22->192.0.2.21 gate": range 192.0.2.22->192.0.2.21 is reversed; write 192.0.2.21->192.0.2.22`},
		{"port of a direct route", Services{Virtual: web, Real: "192.0.2.21:8080 gate"}, `virtual service -t 192.0.2.10:80: real server 192.0.2.21:8080: direct routing and tunnels cannot change the port: it is 8080 here and 80 in the service; use the same port or masq`},
		{"twice", Services{Virtual: web + " " + web, Real: "192.0.2.21 gate, 192.0.2.21 masq"}, `virtual service -t 192.0.2.10:80: real server 192.0.2.21:80: given twice
virtual service -t 192.0.2.10:80: given twice
virtual service -t 192.0.2.10:80: real server 192.0.2.21:80: given twice`},
		{"family", Services{Virtual: web, Real: "[2001:db8::21] gate"}, `virtual service -t 192.0.2.10:80: real server [2001:db8::21]:80: its address family differs from the service's; use a tunnel (ipip, gue or gre), or addresses of one family`},
		{"unknown protocol", Services{Virtual: web + " 5", Protocol: "tpc"}, `unknown protocol "tpc"; did you mean "tcp"?`},
		{"protocol of a mark", Services{Virtual: "5", Protocol: "tcp"}, `protocol "tcp" does not fit firewall mark 5; write fwm, or leave it out`},
		{"netmask without persistence", Services{Virtual: web, Netmask: "255.255.255.0"}, `netmask "255.255.255.0": it has no effect without persistent; set persistent, or leave netmask out`},
		{"netmask", Services{Virtual: web, Netmask: "24", Persistent: 60}, `netmask "24" is not of the form 255.255.255.0`},
		{"IPv6 netmask", Services{Virtual: "[2001:db8::10]:80", Netmask: "255.255.255.0", Persistent: 60}, `netmask "255.255.255.0" is not a prefix length from 1 to 128`},
		{"negative persistence", Services{Virtual: web, Persistent: -1}, `persistent "-1": not a number of seconds from 0 to 2678400`},
		{"every port", Services{Virtual: "192.0.2.10:0"}, `virtual service -t 192.0.2.10:0: port 0 (every port) needs persistence`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			table, err := tableOf(tt.in)
			got := table.String()
			if err != nil {
				got = err.Error()
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func FuzzServices(f *testing.F) {
	f.Add("192.0.2.10:80 [2001:db8::10]:53,7", "192.0.2.21->192.0.2.23:80 gate 3; [2001:db8::21] masq\n192.0.2.24 ipip", "255.255.255.0", "udp", 60)
	f.Add("192.0.2.10:0", `192.0.2.21 gate 1 "a", "b" l:1 u:2`, "64", "", 0)
	files, _ := filepath.Glob("../ldirectord/testdata/cases/*.cf")
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(strings.TrimPrefix(string(text), "virtual="), string(text), "32", "tcp", 1)
	}
	f.Fuzz(func(t *testing.T, virtual, real, netmask, protocol string, persistent int) {
		p := Services{Virtual: virtual, Real: real, Netmask: netmask, Protocol: protocol, Persistent: persistent}
		table, err := tableOf(p)
		again, _ := tableOf(p)
		switch {
		case table.String() != again.String():
			t.Fatalf("two runs differ:\n%s\n%s", table, again)
		case err != nil && table != nil:
			t.Fatalf("both a table and %v", err)
		case err == nil && (len(table) == 0 || table.Validate() != nil):
			t.Fatalf("%v\n%s", table.Validate(), table)
		}
	})
}

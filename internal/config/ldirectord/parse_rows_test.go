package ldirectord

// parseRows are texts with the problems that Parse reports. If no problem is an error, want also
// has the table.
var parseRows = []struct{ text, want string }{
	{"virtual=10.0.0.1\n", `
error: web.cf:1:9: virtual "10.0.0.1": no port; write 10.0.0.1:PORT, or a number alone for a firewall mark
`},
	{"virtual=0\n", `
error: web.cf:1:9: virtual "0": firewall mark "0" is not a number from 1 to 4294967295
`},
	{"virtual=4294967296\n", `
error: web.cf:1:9: virtual "4294967296": firewall mark "4294967296" is not a number from 1 to 4294967295
`},
	{"virtual=0x10\n", `
error: web.cf:1:9: virtual "0x10": no port; write 0x10:PORT, or a number alone for a firewall mark
`},
	{"virtual=10abc\n", `
error: web.cf:1:9: virtual "10abc": no port; write 10abc:PORT, or a number alone for a firewall mark
`},
	{"virtual=10abc:80\n", `
-A -t 192.0.2.11:80 -s wrr
`},
	{"virtual=web\n", `
error: web.cf:1:9: virtual "web": no port; write web:PORT, or a number alone for a firewall mark
`},
	{"virtual=web:http\n", `
-A -t 192.0.2.10:80 -s wrr
`},
	{"virtual=\n", `
error: web.cf:1:9: virtual "": no address; write ADDRESS:PORT
`},
	{"virtual=10.0.0.1::80\n", `
error: web.cf:1:9: virtual "10.0.0.1::80": two colons in "10.0.0.1::80"; write 10.0.0.1:80
`},
	{"virtual=2001:db8::1:80\n", `
error: web.cf:1:9: virtual "2001:db8::1:80": IPv6 address "2001:db8::1:80" without brackets; write [2001:db8::1:80], with a port [2001:db8::1:80]:PORT
`},
	{"virtual=[2001:db8::1]\n", `
error: web.cf:1:9: virtual "[2001:db8::1]": no port; write [2001:db8::1]:PORT, or a number alone for a firewall mark
`},
	{"virtual=[2001:db8::1]:80\n\treal=[2001:db8::2] gate\n", `
-A -t [2001:db8::1]:80 -s wrr
-a -t [2001:db8::1]:80 -r [2001:db8::2]:80 -g -w 1
`},
	{"virtual=[fe80::1%eth0]:80\n", `
error: web.cf:1:10: virtual "[fe80::1%eth0]:80": IPVS has no zones, "fe80::1%eth0" has one; write the address without %eth0
`},
	{"virtual=[::ffff:1.2.3.4]:80\n", `
error: web.cf:1:10: virtual "[::ffff:1.2.3.4]:80": "::ffff:1.2.3.4" is an IPv4 address in IPv6 form; write 1.2.3.4
`},
	{"virtual=[::1:80\n", `
error: web.cf:1:9: virtual "[::1:80": "[::1:80" has no closing bracket; write [ADDRESS]:PORT
`},
	{"virtual=[::1]80\n", `
error: web.cf:1:14: virtual "[::1]80": "80" after the closing bracket; write [ADDRESS]:PORT
`},
	{"virtual=999.1.1.1:80\n", `
error: web.cf:1:9: virtual "999.1.1.1:80": "999.1.1.1" is not an IPv4 address
`},
	{"virtual=192.0.2.10:99999\n", `
error: web.cf:1:20: virtual "192.0.2.10:99999": unknown port "99999"; write a number from 1 to 65535
`},
	{"virtual=192.0.2.10:foo\n", `
error: web.cf:1:20: virtual "192.0.2.10:foo": unknown port "foo"; write a number from 1 to 65535
`},
	{"virtual=192.0.2.10:\n", `
error: web.cf:1:9: virtual "192.0.2.10:": "192.0.2.10:" has no port; write the port after the colon
`},
	{"virtual=0.0.0.0:80\n", `
error: web.cf:1:9: virtual "0.0.0.0:80": "0.0.0.0" is not an address of a host
`},
	{"virtual=192.0.2.10:80 junk\n", `
warning: web.cf:1:23: "junk" after the address; write virtual=192.0.2.10:80
-A -t 192.0.2.10:80 -s wrr
`},
	{"virtual=192.0.2.10:80real=1.2.3.4:80 gate\n", `
error: web.cf:1:9: two directives on one line; write two lines: virtual=192.0.2.10:80 and real=1.2.3.4:80 gate
`},
	{"virtual6=192.0.2.10:80\n", `
error: web.cf:1:10: virtual6 "192.0.2.10:80": an IPv4 address in virtual6=; write virtual=
`},
	{"virtual6=7\n\treal6=[2001:db8::2] gate\n", `
-A -f 7 -6 -s wrr
-a -f 7 -6 -r [2001:db8::2]:0 -g -w 1
`},
	{"virtual=7\n\treal=[2001:db8::2] gate\n", `
error: web.cf:2: real server [2001:db8::2]:0 of -f 7: one is IPv6, the other is not; for a firewall mark of IPv6 packets write virtual6=7
`},
	{"virtual=192.0.2.10:80\n\treal6=[2001:db8::2] gate\n", `
error: web.cf:2:8: real6= in a block of virtual=; write real=
`},
	{"virtual=192.0.2.10:80\n\treal=[2001:db8::2] gate\n", `
error: web.cf:2: real server [2001:db8::2]:80 of -t 192.0.2.10:80: one is IPv6, the other is not; use a tunnel (ipip, gue or gre), or addresses of one family
`},
	{"virtual=192.0.2.10:80\n\tcheckport=81\n\treal=192.0.2.21:8080 gate\n", `
warning: web.cf:3:7: only masq changes the port: connections come to port 80, not 8080; write port 80
-A -t 192.0.2.10:80 -s wrr
-a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 1
`},
	{"virtual=192.0.2.10:80\n\tchecktype=external-perl\n\treal=192.0.2.21 gate\n", `
warning: web.cf:2: no checkcommand, so no real server is ever up; add checkcommand=SCRIPT
-A -t 192.0.2.10:80 -s wrr
-a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 1
`},
	{"virtual=192.0.2.10:80\n\treal=192.0.2.21:8080 gate\n", `
warning: web.cf:2:7: only masq changes the port: port 8080 of the real server is checked, but connections come to 80; write port 80, and checkport=8080 to check that port
-A -t 192.0.2.10:80 -s wrr
-a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 1
`},
	{"virtual=5\n\treal=192.0.2.21 gate\n\tchecktype=connect\nvirtual=6\n\treal=192.0.2.21 gate\n\tservice=simpletcp\n\treceive=\"x\"\nvirtual=7\n\treal=192.0.2.21 gate\n\tservice=http\n", `
warning: web.cf:2: no port to check, so this real server is never up; add checkport=PORT
warning: web.cf:5: no port to check, so this real server is never up; add checkport=PORT
-A -f 5 -s wrr
-a -f 5 -r 192.0.2.21:0 -g -w 1
-A -f 6 -s wrr
-a -f 6 -r 192.0.2.21:0 -g -w 1
-A -f 7 -s wrr
-a -f 7 -r 192.0.2.21:0 -g -w 1
`},
	{"virtual=192.0.2.10:80\n\treal=192.0.2.21:0 gate\n", `
-A -t 192.0.2.10:80 -s wrr
-a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 1
`},
	{"virtual=192.0.2.10:80\n\treal=192.0.2.21:8080 masq 3 l:5 u:10\n", `
-A -t 192.0.2.10:80 -s wrr
-a -t 192.0.2.10:80 -r 192.0.2.21:8080 -m -w 3 -x 10 -y 5
`},
	{"virtual=192.0.2.10:80\n\treal=192.0.2.21:8080 masq 3 u:10 l:5\n", `
warning: web.cf:2:7: ldirectord loses u: before l:; write ADDRESS METHOD WEIGHT "REQUEST", "RECEIVE" l:N u:N
-A -t 192.0.2.10:80 -s wrr
-a -t 192.0.2.10:80 -r 192.0.2.21:8080 -m -w 3 -x 10 -y 5
`},
	{"virtual=192.0.2.10:80\n\treal=192.0.2.21:8080 masq 3 u:5 l:10\n", `
warning: web.cf:2:7: ldirectord loses u: before l:; write ADDRESS METHOD WEIGHT "REQUEST", "RECEIVE" l:N u:N
error: web.cf:2: real server 192.0.2.21:8080: lower threshold 10 is above the upper threshold 5
`},
	{"virtual=192.0.2.10:80\n\treal=192.0.2.21:8080 masq 3 l:10\n", `
error: web.cf:2: real server 192.0.2.21:8080: lower threshold 10 has no upper threshold
`},
	{"virtual=192.0.2.10:80\n\treal=192.0.2.21 masq 3\n", `
-A -t 192.0.2.10:80 -s wrr
-a -t 192.0.2.10:80 -r 192.0.2.21:80 -m -w 3
`},
	{"virtual=192.0.2.10:80\n\treal=192.0.2.21 dr 3\n", `
error: web.cf:2:18: real "192.0.2.21 dr 3": unknown forwarding method "dr"; use gate (direct routing), masq (NAT), or a tunnel: ipip, gue or gre
`},
	{"virtual=192.0.2.10:80\n\treal=192.0.2.21\n", `
error: web.cf:2:7: real "192.0.2.21": forwarding method missing; write gate, masq, ipip, gue or gre after the address
`},
	{"virtual=192.0.2.10:80\n\treal=192.0.2.21 5\n", `
error: web.cf:2:7: real "192.0.2.21 5": forwarding method missing; write gate, masq, ipip, gue or gre after the address
`},
	{"virtual=192.0.2.10:80\n\treal=\n", `
error: web.cf:2:7: real "": no address; write ADDRESS:PORT gate, masq or ipip
`},
	{"virtual=192.0.2.10:80\n\treal=192.0.2.21 gate -5\n", `
error: web.cf:2:23: real "192.0.2.21 gate -5": weight "-5" is not a number from 0 to 65535
`},
	{"virtual=192.0.2.10:80\n\treal=192.0.2.21 gate 1.5\n", `
error: web.cf:2:23: real "192.0.2.21 gate 1.5": weight "1.5" is not a number from 0 to 65535
`},
	{"virtual=192.0.2.10:80\n\treal=192.0.2.21 gate 70000\n", `
error: web.cf:2:23: real "192.0.2.21 gate 70000": weight "70000" is not a number from 0 to 65535
`},
	{"virtual=192.0.2.10:80\n\treal=192.0.2.21 gate 1 2\n", `
error: web.cf:2:25: real "192.0.2.21 gate 1 2": "2" after the weight; delete it
`},
	{"virtual=192.0.2.10:80\n\treal=192.0.2.21 gate weight=5\n", `
error: web.cf:2:23: real "192.0.2.21 gate weight=5": weight "weight=5" is not a number from 0 to 65535
`},
	{"virtual=192.0.2.10:80\n\treal=192.0.2.21 gate 1 \"a\"\n", `
error: web.cf:2:7: real "192.0.2.21 gate 1 \"a\"": 1 quoted string; write both, "REQUEST", "RECEIVE"
`},
	{"virtual=192.0.2.10:80\n\treal=192.0.2.21 gate 1 \"a\",\"b\n", `
error: web.cf:2:7: real "192.0.2.21 gate 1 \"a\",\"b": closing quote missing
`},
	{"virtual=192.0.2.10:80\n\treal=192.0.2.21 gate 1 \"a\" , \"b\"\n", `
-A -t 192.0.2.10:80 -s wrr
-a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 1
`},
	{"virtual=192.0.2.10:80\n\treal=192.0.2.21:80->192.0.2.22:80 gate 1\n", `
error: web.cf:2:7: real "192.0.2.21:80->192.0.2.22:80 gate 1": the port is inside the range "192.0.2.21:80->192.0.2.22:80"; write FIRST->LAST:PORT
`},
	{"virtual=192.0.2.10:80\n\treal=192.0.2.21 -> 192.0.2.23:80 gate 1\n", `
-A -t 192.0.2.10:80 -s wrr
-a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 1
-a -t 192.0.2.10:80 -r 192.0.2.22:80 -g -w 1
-a -t 192.0.2.10:80 -r 192.0.2.23:80 -g -w 1
`},
	{"virtual=192.0.2.10:80\n\treal=192.0.2.21 ->192.0.2.23:80 gate 1\n", `
-A -t 192.0.2.10:80 -s wrr
-a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 1
-a -t 192.0.2.10:80 -r 192.0.2.22:80 -g -w 1
-a -t 192.0.2.10:80 -r 192.0.2.23:80 -g -w 1
`},
	{"virtual=192.0.2.10:80\n\treal=192.0.0.0->192.0.255.255 gate 1\n", `
error: web.cf:2:7: range 192.0.0.0->192.0.255.255 has more than 4096 addresses
`},
	{"virtual=192.0.2.10:80\n\treal=192.0.2.21->rs2 gate 1\n", `
-A -t 192.0.2.10:80 -s wrr
-a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 1
-a -t 192.0.2.10:80 -r 192.0.2.22:80 -g -w 1
`},
	{"virtual=192.0.2.10:80\n\treal=192.0.2.21-> gate 1\n", `
error: web.cf:2:7: real "192.0.2.21-> gate 1": forwarding method missing; write gate, masq, ipip, gue or gre after the address
`},
	{"virtual=192.0.2.10:80\n\treal=192.0.2.21::80 gate 1\n", `
error: web.cf:2:7: real "192.0.2.21::80 gate 1": two colons in "192.0.2.21::80"; write 192.0.2.21:80
`},
	{"virtual=192.0.2.10:80\n\treal=my_host gate 1\n", `
-A -t 192.0.2.10:80 -s wrr
-a -t 192.0.2.10:80 -r 192.0.2.23:80 -g -w 1
`},
	{"virtual=192.0.2.10:80\n\treal=192.0.2.21 gate\n\treal=192.0.2.21 gate 1\n", `
warning: web.cf:3:7: real server 192.0.2.21:80 is given twice, first in line 2; delete this one
-A -t 192.0.2.10:80 -s wrr
-a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 1
`},
	{"virtual=192.0.2.10:80\n\treal=192.0.2.21 gate\n\treal=192.0.2.21 gate 2\n", `
warning: web.cf:3:7: real server 192.0.2.21:80 is given twice, first in line 2 with other values; the last one counts; delete one of them
-A -t 192.0.2.10:80 -s wrr
-a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 2
`},
	{"virtual=192.0.2.10:80\nvirtual=192.0.2.10:80\n", `
error: web.cf:2: virtual service -t 192.0.2.10:80 is given twice, first in line 1; delete one of them
`},
	{"virtual=192.0.2.10:80\nvirtual=192.0.2.10:80\n\tprotocol=udp\n", `
-A -t 192.0.2.10:80 -s wrr
-A -u 192.0.2.10:80 -s wrr
`},
	{"virtual=192.0.2.10:80\n\tscheduler=WRR\n", `
error: web.cf:2:12: unknown scheduler "WRR"; did you mean "wrr"?
`},
	{"virtual=192.0.2.10:80\n\tscheduler=foo\n", `
error: web.cf:2:12: unknown scheduler "foo"; did you mean "fo"?
`},
	{"virtual=192.0.2.10:80\n\tprotocol=TCP\n", `
error: web.cf:2: unknown protocol "TCP"; did you mean "tcp"?
`},
	{"virtual=192.0.2.10:80\n\tprotocol=fwm\n", `
error: web.cf:2: protocol "fwm" needs a firewall mark, not an address; write tcp, udp or sctp
`},
	{"virtual=5\n\tprotocol=tcp\n", `
error: web.cf:2: protocol "tcp" does not fit firewall mark 5; write fwm, or leave it out
`},
	{"virtual=5\n\tprotocol=fwm\n\tops=yes\n", `
-A -f 5 -s wrr -o
`},
	{"virtual=192.0.2.10->192.0.2.11:80-81\n\treal=192.0.2.21 gate 2\n\treal=192.0.2.22:80 masq\n\tops=yes\n", `
warning: web.cf:4: ops has an effect for protocol udp and for firewall marks only; delete the line
-A -t 192.0.2.10:80 -s wrr
-a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 2
-a -t 192.0.2.10:80 -r 192.0.2.22:80 -m -w 1
-A -t 192.0.2.10:81 -s wrr
-a -t 192.0.2.10:81 -r 192.0.2.21:81 -g -w 2
-a -t 192.0.2.10:81 -r 192.0.2.22:80 -m -w 1
-A -t 192.0.2.11:80 -s wrr
-a -t 192.0.2.11:80 -r 192.0.2.21:80 -g -w 2
-a -t 192.0.2.11:80 -r 192.0.2.22:80 -m -w 1
-A -t 192.0.2.11:81 -s wrr
-a -t 192.0.2.11:81 -r 192.0.2.21:81 -g -w 2
-a -t 192.0.2.11:81 -r 192.0.2.22:80 -m -w 1
`},
	{"virtual=web:80-82\n\treal=192.0.2.21 gate\n", `
error: web.cf:1:9: virtual "web:80-82": a host name with a range; write addresses
`},
	{"virtual=192.0.2.10->192.0.2.1:80\n\treal=192.0.2.21 gate\n", `
error: web.cf:1:9: virtual "192.0.2.10->192.0.2.1:80": range 192.0.2.10->192.0.2.1 is reversed; write 192.0.2.1->192.0.2.10
`},
	{"lvs_timeouts=tcp 7200 udp 5\nvirtual=192.0.2.10:5060\n\tprotocol=udp\n\tpersistent=60\n\tpersistence_engine=sip\n\treal=192.0.2.21 gue 3 port:6081 csum u:9\n\treal=[2001:db8::22] gre\n\tfallback=192.0.2.29 gue\n", `
-A -u 192.0.2.10:5060 -s wrr -p 60 --pe sip
-a -u 192.0.2.10:5060 -r 192.0.2.21:5060 -i -w 3 -x 9 -y 0 --tun-type gue --tun-port 6081 --tun-csum
-a -u 192.0.2.10:5060 -r [2001:db8::22]:5060 -i -w 1 --tun-type gre --tun-nocsum
`},
	{"lvs_timeouts=7200 120 5\nvirtual=192.0.2.10:80\n\tpersistence_engine=sip\n\treal=192.0.2.21 gate 1 csum\n", `
error: web.cf:1:14: lvs_timeouts "7200 120 5": not of the form NAME SECONDS; use tcp, tcpfin and udp, as: tcp 7200 tcpfin 120 udp 300
error: web.cf:2: persistence engine sip has no effect without persistence; set persistent
error: web.cf:4:25: real "192.0.2.21 gate 1 csum": "csum" after the weight; delete it
`},
	{"virtual=5\n\treal=[2001:db8::21] ipip\n", `
warning: web.cf:1: all real servers of -f 5 are IPv6, but the service is for IPv4 packets; for IPv6 packets write virtual6=5
-A -f 5 -s wrr
-a -f 5 -r [2001:db8::21]:0 -i -w 1
`},
	{"virtual=192.0.2.10:80\n\tops=yes\n", `
warning: web.cf:2: ops has an effect for protocol udp and for firewall marks only; delete the line
-A -t 192.0.2.10:80 -s wrr
`},
	{"virtual=192.0.2.10:53\n\tops=yes\n\tschedflags=sh-port,flag-3\n", `
-A -u 192.0.2.10:53 -s wrr -o -b flag-2,flag-3
`},
	{"virtual=192.0.2.10:80\n\tschedflags=foo\n", `
error: web.cf:2:13: unknown scheduler flag in "foo"; use sh-fallback, sh-port, mh-fallback, mh-port or flag-1 to flag-3
`},
	{"virtual=192.0.2.10:0\n", `
error: web.cf:1: port 0 (every port) needs persistence; add persistent=SECONDS
`},
	{"virtual=192.0.2.10:80\n\tnetmask=255.255.255.0\n", `
warning: web.cf:2: netmask has no effect without persistent; delete the line, or add persistent=SECONDS
-A -t 192.0.2.10:80 -s wrr
`},
	{"virtual=192.0.2.10:80\n\tnetmask=24\n\tpersistent=60\n", `
error: web.cf:2: netmask "24" is not of the form 255.255.255.0
`},
	{"virtual=192.0.2.10:80\n\tnetmask=255.255.255.0\n\tpersistent=60\n", `
-A -t 192.0.2.10:80 -s wrr -p 60 -M 255.255.255.0
`},
	{"virtual=192.0.2.10:80\n\tpersistent=0\n", `
error: web.cf:2:13: persistence of 0 seconds; delete the line for no persistence
`},
	{"virtual=192.0.2.10:80\n\tservice=htp\n\tchecktype=conect\n\tcheckport=0\n", `
error: web.cf:2:10: unknown service "htp"; did you mean "ftp"?
error: web.cf:3:12: unknown checktype "conect"; did you mean "connect"?
error: web.cf:4:12: checkport "0" is not a port from 1 to 65535
`},
	{"virtual=192.0.2.10:80\n\treceive=\"(?=x)\"\n", `
-A -t 192.0.2.10:80 -s wrr
`},
	{"virtual=192.0.2.10:80\n\tfallback=127.0.0.1:8080\n", `
warning: web.cf:2: fallback 127.0.0.1 receives port 80 of -t 192.0.2.10:80: only masq changes the port to 8080; let it listen on port 80
-A -t 192.0.2.10:80 -s wrr
`},
	{"virtual=192.0.2.10:80\n\tfallback=127.0.0.1:8080 masq\n", `
-A -t 192.0.2.10:80 -s wrr
`},
	{"virtual=192.0.2.10:80\n\tfallback=127.0.0.1 gate junk\n", `
error: web.cf:2:26: fallback "127.0.0.1 gate junk": "junk" after the forwarding method; write ADDRESS:PORT METHOD
`},
	{"virtual=192.0.2.10:80\n\tfallback=127.0.0.1 foo\n", `
error: web.cf:2:21: fallback "127.0.0.1 foo": unknown forwarding method "foo"; use gate (direct routing), masq (NAT), or a tunnel: ipip, gue or gre
`},
	{"virtual=192.0.2.10:80\n\tfallback=\n", `
warning: web.cf:2:11: no address, so 127.0.0.1 is used; write fallback=127.0.0.1
-A -t 192.0.2.10:80 -s wrr
`},
	{"virtual=192.0.2.10:80\n\tfallback=[::1]:80\n", `
error: web.cf:2:11: IPv6 fallback in a block of virtual=; write an IPv4 address
`},
	{"virtual=192.0.2.10:80\n\tfallback6=[::1]:80\n", `
error: web.cf:2:12: IPv6 fallback in a block of virtual=; write an IPv4 address
`},
	{"fallback6=127.0.0.1:80\n", `
warning: web.cf: no virtual service in this file
error: web.cf:1:11: fallback6 "127.0.0.1:80": IPv4 address in fallback6=; write fallback=
`},
	{"fallback=localhost:http\nfallback6=[::1]\nvirtual=192.0.2.10:80\n", `
-A -t 192.0.2.10:80 -s wrr
`},
	{"chektimeout=3\nCheckTimeout=3\nreal=1.2.3.4:80 gate\ntimeout=3\nexecute=foo\nfork=yes\nsupervised\n checktimeout=3\n", `
warning: web.cf: no virtual service in this file
error: web.cf:1:1: unknown directive "chektimeout"; did you mean "checktimeout"?
error: web.cf:2:1: unknown directive "CheckTimeout"; did you mean "checktimeout"?
error: web.cf:3:6: real belongs to a virtual service, and there is no virtual= above
error: web.cf:4:9: timeout is not a directive any more; write checktimeout= or negotiatetimeout=
warning: web.cf:8:15: an indentation; write checktimeout=3
`},
	{"checktimeout\ncheckinterval 3\n你好\n", `
warning: web.cf: no virtual service in this file
error: web.cf:1:1: "=" missing after checktimeout; write checktimeout=VALUE
error: web.cf:2:1: "=" missing after checkinterval; write checkinterval=VALUE
error: web.cf:3:1: this line is not a directive; write NAME=VALUE, or # in front of a comment
`},
	{"autoreload=Yes\nautoreload=\"yes\"\nquiescent=maybe\n", `
warning: web.cf: no virtual service in this file
error: web.cf:1:12: autoreload "Yes" is neither yes nor no; write yes or no
warning: web.cf:2:12: autoreload is given twice, first in line 1; the last one counts; delete one of them
warning: web.cf:2:12: quotes around the value; write autoreload=yes
error: web.cf:3:11: quiescent "maybe" is neither yes nor no; write yes or no
`},
	{"virtual=192.0.2.10:80\n\tquiescent=no\nautoreload=no\n\tscheduler=rr\nvirtual=5\n", `
-A -t 192.0.2.10:80 -s rr
-A -f 5 -s wrr
`},
	{"virtual=192.0.2.10:80\n\tservice=http\nquiescent=no\n\tscheduler=rr\n", `
warning: web.cf:3:11: quiescent is in column 1 inside a virtual block; indent it with a tab, or move it above the first virtual=
-A -t 192.0.2.10:80 -s rr
`},
	{"virtual=192.0.2.10:80\n\tservice=http\nquiescent=no\n\tscheduler=rr\nvirtual=5\n", `
error: web.cf:3:11: quiescent is in column 1 inside a virtual block; indent it with a tab, or move it above the first virtual=
`},
	{"virtual=192.0.2.10:80\nreal=1.2.3.4 gate\n\nquiescent=no\nfallback=1.2.3.5\nvirtual=5\nreal=1.2.3.4:80 gate\n", `
warning: web.cf:2: 1 line of this virtual block is not indented by a tab or four blanks; begin with a tab: "\treal=…"
error: web.cf:4:11: quiescent can be meant for the virtual block above or for all services; indent it with a tab, or move it above the first virtual=
error: web.cf:5:10: fallback can be meant for the virtual block above or for all services; indent it with a tab, or move it above the first virtual=
warning: web.cf:7: 1 line of this virtual block is not indented by a tab or four blanks; begin with a tab: "\treal=…"
`},
	{"virtual=192.0.2.10:80\nreal=1.2.3.4 gate\n\nquiescent=no\nfallback=1.2.3.5\n", `
warning: web.cf:2: 3 lines of this virtual block are not indented by a tab or four blanks; begin with a tab: "\treal=…"
warning: web.cf:3: empty line inside a virtual block, where ldirectord ends it; delete the line
-A -t 192.0.2.10:80 -s wrr
-a -t 192.0.2.10:80 -r 1.2.3.4:80 -g -w 1
`},
	{"virtual=192.0.2.10:80\nfallback=1.2.3.5\nreal=1.2.3.4 gate\nvirtual=5\nreal=1.2.3.4:80 gate\n", `
warning: web.cf:2: 2 lines of this virtual block are not indented by a tab or four blanks; begin with a tab: "\tfallback=…"
warning: web.cf:5: 1 line of this virtual block is not indented by a tab or four blanks; begin with a tab: "\treal=…"
-A -t 192.0.2.10:80 -s wrr
-a -t 192.0.2.10:80 -r 1.2.3.4:80 -g -w 1
-A -f 5 -s wrr
-a -f 5 -r 1.2.3.4:80 -g -w 1
`},
	{"virtual=192.0.2.10:80\n\tautoreload=yes\n virtual=5\n", `
warning: web.cf:2:13: an indentation; write autoreload=yes
warning: web.cf:3:10: an indentation; write virtual=5
-A -t 192.0.2.10:80 -s wrr
-A -f 5 -s wrr
`},
	{"virtual=192.0.2.10:80\n\trequest=index.html\n\trequest='a'\n\trequest=“a”\n\treceive=\"a\n\treceive=“a\n\tlogin=x\"\n\trequest=\"\"\n\trequest=\n", `
warning: web.cf:2:10: no quotes around the value; write request="index.html"
warning: web.cf:3:10: request is given twice, first in line 2; the last one counts; delete one of them
warning: web.cf:3:10: single quotes; write request="a"
warning: web.cf:4:10: request is given twice, first in line 3; the last one counts; delete one of them
warning: web.cf:4:10: typographic quote “ (U+201C); write request="a"
error: web.cf:5:10: receive: closing quote missing; write it in double quotes
warning: web.cf:6:10: receive is given twice, first in line 5; the last one counts; delete one of them
error: web.cf:6:10: receive: typographic quote “ (U+201C) at the start and no closing quote; write it in double quotes
error: web.cf:7:8: login: opening quote missing; write it in double quotes
warning: web.cf:8:10: request is given twice, first in line 4; the last one counts; delete one of them
warning: web.cf:8:10: nothing between the quotes; write request=""
warning: web.cf:9:10: request is given twice, first in line 8; the last one counts; delete one of them
error: web.cf:9:10: request: value missing; write it in double quotes
`},
	{"virtual=192.0.2.10:80\n\trequest=\"a\" b\n\treceive=\"<a href=\"x\">\"\n\treceive=\"a\" > say \"b\"\n\trequest=\"a#b\" # c\n\treceive=\"a\" # say \"x\"\n\treceive=\"<a href=\"#top\">\"\n", `
warning: web.cf:2:10: something after the closing quote; write request="a"
warning: web.cf:4:10: receive is given twice, first in line 3; the last one counts; delete one of them
warning: web.cf:4:10: a note after the value; write receive="a"
warning: web.cf:5:10: request is given twice, first in line 2; the last one counts; delete one of them
warning: web.cf:5:16: "#" inside quotes and a note after the value; write request="a#b"
warning: web.cf:6:10: receive is given twice, first in line 4; the last one counts; delete one of them
warning: web.cf:7:10: receive is given twice, first in line 6; the last one counts; delete one of them
warning: web.cf:7:20: "#" inside quotes begins a note; write receive="<a href="
-A -t 192.0.2.10:80 -s wrr
`},
	{"virtual=192.0.2.10:80\n\trequest=\"a\" and \"b\" x\n\tscheduler=rr;\n\tservice=http x\n\tprotocol=tcp,\n\tcheckport=80 > x\n\tchecktimeout=3s\n\tnegotiatetimeout=5 sec\n\tcheckinterval=1 h\n\tpersistent=600 ; or more\n", `
warning: web.cf:2:10: something after the closing quote; write request="a" and "b"
warning: web.cf:3:14: ";" after the value; write scheduler=rr
warning: web.cf:4:15: "x" after the value; write service=http
warning: web.cf:5:14: "," after the value; write protocol=tcp
warning: web.cf:6:12: a note after the value; write checkport=80
warning: web.cf:7:15: checktimeout "3s" has a unit after the number; write checktimeout=3
warning: web.cf:8:21: "sec" after the value; write negotiatetimeout=5
error: web.cf:9:18: checkinterval: "h" after the value; write 1 alone
warning: web.cf:10:17: "; or more" after the value; write persistent=600
`},
	{"virtual=192.0.2.10:80\n\trequest=\"a\"receive=\"b\"\n\tscheduler=rrprotocol=tcp\n\tcheckport=80request=\"x\"\n\treal=1.2.3.4:80 gate 1real=1.2.3.5:80 gate\n", `
error: web.cf:2:10: two directives on one line; write two lines: request="a" and receive="b"
error: web.cf:3:12: two directives on one line; write two lines: scheduler=rr and protocol=tcp
error: web.cf:4:12: two directives on one line; write two lines: checkport=80 and request="x"
error: web.cf:5:7: two directives on one line; write two lines: real=1.2.3.4:80 gate 1 and real=1.2.3.5:80 gate
`},
	{"virtual=192.0.2.10:80\n\tvirtualhost=www.example.org\n\tvirtualhost=\"www.example.org\" x\n\tvirtualhost=a b\n", `
warning: web.cf:3:14: virtualhost is given twice, first in line 2; the last one counts; delete one of them
warning: web.cf:3:14: something after the closing quote; write virtualhost=www.example.org
warning: web.cf:4:14: virtualhost is given twice, first in line 3; the last one counts; delete one of them
error: web.cf:4:16: virtualhost: "b" after the value; write a alone
`},
	{"checktimeout=3checkinterval=1\n", `
warning: web.cf: no virtual service in this file
error: web.cf:1:14: two directives on one line; write two lines: checktimeout=3 and checkinterval=1
`},
	{"virtual=192.0.2.10:80\n\tpasswd=hunter2\n\tpasswd=\"hunter2\n\tpasswd=“hunter2\n\tpasswd=\"hunter2\" hunter2\n\tpaswd=\"hunter2\"\n\tpasswd\"hunter2\"\n\tpasswdhunter2=x\n\tlogin=\"hunter2\"passwd=\"hunter2\"\n\tprotocol=tcppasswd=\"hunter2\"\n\tsecret=hunter2\n\trequest=\"x\"login = hunter2\n\tpasswd=\"hunter2\" # hunter2\n", `
warning: web.cf:2:9: no quotes around the value; write passwd="***"
warning: web.cf:3:9: passwd is given twice, first in line 2; the last one counts; delete one of them
error: web.cf:3:9: passwd: closing quote missing; write it in double quotes
warning: web.cf:4:9: passwd is given twice, first in line 3; the last one counts; delete one of them
error: web.cf:4:9: passwd: typographic quote “ (U+201C) at the start and no closing quote; write it in double quotes
warning: web.cf:5:9: passwd is given twice, first in line 4; the last one counts; delete one of them
warning: web.cf:5:9: something after the closing quote; write passwd="***"
error: web.cf:6:2: unknown directive "paswd"; did you mean "passwd"?
error: web.cf:7:2: "=" missing after passwd; write passwd="***"
error: web.cf:8:2: unknown directive that starts with passwd; write passwd="***"
error: web.cf:9:8: two directives on one line; write two lines: login="***"
error: web.cf:10:11: two directives on one line; write two lines: protocol=tcp and passwd="***"
warning: web.cf:11:9: no quotes around the value; write secret="***"
error: web.cf:12:10: two directives on one line; write two lines: request="x" and login="***"
warning: web.cf:13:9: passwd is given twice, first in line 5; the last one counts; delete one of them
`},
	{"\u00a0checktimeout=3\nvirtual=192.0.2.10:80\n\u3000real=1.2.3.4:80\u00a0gate\n", `
warning: web.cf:1:15: an odd blank (no-break, zero-width or ideographic) and an indentation; write checktimeout=3
warning: web.cf:3: 1 line of this virtual block is not indented by a tab or four blanks; begin with a tab: "\treal=…"
warning: web.cf:3:7: an odd blank (no-break, zero-width or ideographic); write real=1.2.3.4:80 gate
-A -t 192.0.2.10:80 -s wrr
-a -t 192.0.2.10:80 -r 1.2.3.4:80 -g -w 1
`},
	{"checktimeout=3\r\nvirtual=192.0.2.10:80\n", `
warning: web.cf:1:15: lines end as in Windows files (CR LF); remove the CRs: sed -i 's/\r$//' FILE
-A -t 192.0.2.10:80 -s wrr
`},
	{"checktimeout=3\n", `
warning: web.cf: no virtual service in this file
`},
	{"virtual=192.0.2.10:80\n\treceive=\"<a href=\"#top\">\"\n", `
warning: web.cf:2:20: "#" inside quotes begins a note; write receive="<a href="
-A -t 192.0.2.10:80 -s wrr
`},
	{"virtual=192.0.2.10:80\n\tquiescent=yes \n", `
warning: web.cf:2:12: blanks after the value; write quiescent=yes
-A -t 192.0.2.10:80 -s wrr
`},
	{"virtual=192.0.2.10:80\n\trequest=\"a\tb\"\n", `
-A -t 192.0.2.10:80 -s wrr
`},
	{"virtual=192.0.2.10:80\n\tservice=http\n\trequest=\"https://192.0.2.21/x\"\n", `
error: web.cf:3: request="https://192.0.2.21/x" is a whole URL; for all real servers of a service it must be a path; write request="/x"
`},
	{"virtual=192.0.2.10:80\n\tservice=http\n\trequest=\"http://joe:hunt/er2@192.0.2.21/x\"\n", `
error: web.cf:3: request="http://***@192.0.2.21/x" is a whole URL; for all real servers of a service it must be a path; write request="/x"
`},
	{"virtual=192.0.2.10:3128\n\trequest=\"http://example.org/x\"\n", `
-A -t 192.0.2.10:3128 -s wrr
`},
	{"virtual=192.0.2.10:80\n\tchecktype=3\n\tcheckport=http\n", `
-A -t 192.0.2.10:80 -s wrr
`},
	{"virtual6=[2001:db8::10]:80\n\treal6=192.0.2.21 gate\n\tnetmask=64\n\tpersistent=60\n\tfallback=[::1]\n", `
error: web.cf:2: real server 192.0.2.21:80 of -t [2001:db8::10]:80: one is IPv6, the other is not; use a tunnel (ipip, gue or gre), or addresses of one family
`},
	{"virtual6=[2001:db8::10]:80\n\tnetmask=255.255.255.0\n\tpersistent=60\n", `
error: web.cf:2: netmask "255.255.255.0" is not a prefix length from 1 to 128
`},
	{"virtual=192.0.2.10:domain\n", `
-A -u 192.0.2.10:53 -s wrr
`},
	{"virtual=192.0.2.10:80\n\treal=59.154.201.254->59.154.202.1:8080 masq\n", `
-A -t 192.0.2.10:80 -s wrr
-a -t 192.0.2.10:80 -r 59.154.201.254:8080 -m -w 1
-a -t 192.0.2.10:80 -r 59.154.201.255:8080 -m -w 1
-a -t 192.0.2.10:80 -r 59.154.202.0:8080 -m -w 1
-a -t 192.0.2.10:80 -r 59.154.202.1:8080 -m -w 1
`},
	{"virtual6=[2001:db8::10]:80\n\treal6=[2001:db8::fffe]->[2001:db8::1:1]:80 gate\n\treal6=[2001:db8::1]->192.0.2.21 gate\n", `
error: web.cf:3:8: range 2001:db8::1->192.0.2.21 mixes IPv4 and IPv6
`},
	{"virtual=192.0.2.10:80\n\treal=192.0.2.22->192.0.2.21 gate\n", `
error: web.cf:2:7: range 192.0.2.22->192.0.2.21 is reversed; write 192.0.2.21->192.0.2.22
`},
	{"virtual=192.0.2.10:80\n\treal=192.0.2.21 gate\n\tfallback=192.0.2.21\n", `
error: web.cf:3: fallback 192.0.2.21:80 is also a real server of -t 192.0.2.10:80, in line 2; choose another server: the fallback serves when no real server does
`},
	{"fallback=192.0.2.21:80\nvirtual=192.0.2.10:80\n\treal=192.0.2.21 gate\nvirtual=5\n\treal=192.0.2.21:80 gate\n", `
error: web.cf:1: fallback 192.0.2.21:80 is also a real server of -t 192.0.2.10:80, in line 3; choose another server: the fallback serves when no real server does
error: web.cf:1: fallback 192.0.2.21:80 is also a real server of -f 5, in line 5; choose another server: the fallback serves when no real server does
`},
	{"virtual=192.0.2.10:80\n\treal=192.0.2.21 gate junk 5\n", `
error: web.cf:2:23: real "192.0.2.21 gate junk 5": weight "junk" is not a number from 0 to 65535
`},
	{"virtual=192.0.2.10:80\n\n\tservice=http\n        \n\tscheduler=rr\n\n", `
warning: web.cf:2: empty line inside a virtual block, where ldirectord ends it; delete the line
-A -t 192.0.2.10:80 -s rr
`},
	{"# checktimeout=3 checkinterval=1 virtual=5 real=a\n", `
warning: web.cf: no virtual service in this file
warning: web.cf:1:1: this comment holds 4 directives, as if line breaks were lost; write each directive on a separate line
`},
	{"emailalert=\nemailalert=admin@\nemailalert=a@b, c@d\nvirtual=5", `
error: web.cf:1:12: emailalert: value missing; write one, or delete the line
warning: web.cf:2:12: emailalert is given twice, first in line 1; the last one counts; delete one of them
error: web.cf:2:12: "admin@" is not a mail address; write USER@HOST, or NAME <USER@HOST>
warning: web.cf:3:12: emailalert is given twice, first in line 2; the last one counts; delete one of them
`},
	{"emailalert=\"a@b c@d\" # note\nvirtual=5", `
warning: web.cf:1:12: a note after the value; write emailalert=a@b c@d
-A -f 5 -s wrr
`},
	{"emailalertstatus=all \nemailalertstatus=none, running\nemailalertstatus=runnin\nemailalertstatus=\nvirtual=5", `
warning: web.cf:2:18: emailalertstatus is given twice, first in line 1; the last one counts; delete one of them
error: web.cf:2:18: emailalertstatus has none and others; write none alone, or delete it
warning: web.cf:3:18: emailalertstatus is given twice, first in line 2; the last one counts; delete one of them
error: web.cf:3:18: unknown state "runnin" in emailalertstatus; did you mean "running"?
warning: web.cf:4:18: emailalertstatus is given twice, first in line 3; the last one counts; delete one of them
error: web.cf:4:18: emailalertstatus: value missing; write one, or delete the line
`},
	{"emailalertfreq=-1\nemailalertfreq=1h\nemailalertfreq=0\nvirtual=5", `
error: web.cf:1:16: emailalertfreq "-1" is not a number of seconds from 1 to 2678400
warning: web.cf:2:16: emailalertfreq is given twice, first in line 1; the last one counts; delete one of them
error: web.cf:2:16: emailalertfreq "1h" is not a number of seconds from 1 to 2678400; write 3600
warning: web.cf:3:16: emailalertfreq is given twice, first in line 2; the last one counts; delete one of them
`},
	{"smtp=mail.example.org:25\nsmtp=[::1\nvirtual=5", `
warning: web.cf:2:6: smtp is given twice, first in line 1; the last one counts; delete one of them
error: web.cf:2:6: smtp "[::1": "[::1" has no closing bracket; write HOST, HOST:PORT or [IPv6 address]:PORT
`},
	{"emailalertfrom=LVS <lvs@example.org> > note\nvirtual=5", `
warning: web.cf:1:16: a note after the value; write emailalertfrom=LVS <lvs@example.org>
-A -f 5 -s wrr
`},
	{"logfile=\"locl0\"\nvirtual=5", `
warning: web.cf:1:10: logfile "locl0" is neither a path nor a syslog facility, so local0 is used; did you mean "local0"?
-A -f 5 -s wrr
`},
	{"logfile=\"LOCAL0\"\nvirtual=5", `
-A -f 5 -s wrr
`},
	{"execute=\nexecute=--serve\nexecute=other.cf\nvirtual=5", `
error: web.cf:1:9: execute: value missing; write one, or delete the line
error: web.cf:2:9: execute "--serve" is not the name of a configuration; write the name of another file
`},
	{"callback=/bin/x\nvirtual=5", `
warning: web.cf:1:10: no quotes around the value; write callback="/bin/x"
-A -f 5 -s wrr
`},
	{"cleanstop=maybe\nvirtual=5", `
error: web.cf:1:11: cleanstop "maybe" is neither yes nor no; write yes or no
`},
	{"maintenancedir=\"/x\"\nvirtual=5", `
-A -f 5 -s wrr
`},
	{"maintenancedir=“/x”\nvirtual=5", `
warning: web.cf:1:16: typographic quote “ (U+201C); write maintenancedir=/x
-A -f 5 -s wrr
`},
	{"fallbackcommand=\nfallbackcommand=\"/bin/x\" y\nvirtual=5", `
error: web.cf:1:17: fallbackcommand: value missing; write one, or delete the line
warning: web.cf:2:17: fallbackcommand is given twice, first in line 1; the last one counts; delete one of them
`},
	{"checkcount=0\nfailurecount=1001\nvirtual=5", `
error: web.cf:1:12: checkcount "0" is not a number of attempts from 1 to 1000
error: web.cf:2:14: failurecount "1001" is not a number of failures from 1 to 1000
`},
	{"virtual=192.0.2.10:80\n\thttpmethod=post\n", `
error: web.cf:2:13: httpmethod "post" is neither GET nor HEAD; write GET or HEAD
`},
	{"virtual=192.0.2.10:80\n\thttpmethod=head\n\treceive=\"x\"\n", `
warning: web.cf:2: the reply to HEAD has no body, so receive must match an empty text; write httpmethod=GET
-A -t 192.0.2.10:80 -s wrr
`},
	{"virtual=192.0.2.10:80\n\tchecktype=external\n", `
warning: web.cf:2: no checkcommand, so every real server counts as good; add checkcommand=PROGRAM
-A -t 192.0.2.10:80 -s wrr
`},
	{"virtual=192.0.2.10:53\n\treal=192.0.2.21 gate 1 \"x\", \"\"\n\tprotocol=udp\n\tchecktype=udp\n\treceive=\"y\"\n", `
warning: web.cf:4: checktype=udp without receive: a server whose host is down counts as good; add request="TEXT" and receive="TEXT"
-A -u 192.0.2.10:53 -s wrr
-a -u 192.0.2.10:53 -r 192.0.2.21:53 -g -w 1
`},
	{"virtual=192.0.2.10:53\n\treal=192.0.2.21 gate 1 \"x\", \"y\"\n\tprotocol=udp\n\tchecktype=udp\n", `
-A -u 192.0.2.10:53 -s wrr
-a -u 192.0.2.10:53 -r 192.0.2.21:53 -g -w 1
`},
	{"virtual=192.0.2.10:80\n\tcheckcommand=/bin/x\n", `
warning: web.cf:2: checkcommand has no effect with checktype=negotiate; write checktype=external
-A -t 192.0.2.10:80 -s wrr
`},
	{"virtual=192.0.2.10:80\n\tchecktype=external\n\tcheckcommand=\"/bin/x --flag\"\n", `
warning: web.cf:3: ldirectord takes the whole value as the name of a program; here it is a program and its arguments
-A -t 192.0.2.10:80 -s wrr
`},
	{"virtual=192.0.2.10:80\n\tload=\"x\"\n", `
warning: web.cf:2:7: load has no effect; delete the line
-A -t 192.0.2.10:80 -s wrr
`},
	{"virtual=192.0.2.10:80\n\tservicename=web # note\n\tcomment=\"say x=1\"\n\tmonitorfile=/x\n", `
-A -t 192.0.2.10:80 -s wrr
`},
	{"virtual=192.0.2.10:80\n\tfork=no\n", `
warning: web.cf:2:7: an indentation; write fork=no
-A -t 192.0.2.10:80 -s wrr
`},
	{"virtual=192.0.2.10:domain-s\n\treal=192.0.2.21:http-alt masq\n", `
-A -t 192.0.2.10:853 -s wrr
-a -t 192.0.2.10:853 -r 192.0.2.21:8080 -m -w 1
`},
	{"virtual=192.0.2.10:names\n", `
error: web.cf:1:20: virtual "192.0.2.10:names": unknown port "names"; write a number from 1 to 65535
`},
}

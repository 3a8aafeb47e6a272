package ldirectord

import "strings"

// difference is one recorded state of a case where the table of directord intentionally differs
// from the table of ldirectord.
type difference struct {
	name, state string
	reason      string // why the tables differ
	table       string // the table of directord
}

var differences = []difference{
	{"24-thresholds-quiescent", "one failed", "ldirectord takes the connection thresholds off a server that it quiesces", quiesced + `-a -t 192.0.2.10:80 -r 192.0.2.22:80 -m -w 1
# -r 192.0.2.21:80 -x 10 -y 5
`},
	{"24-thresholds-quiescent", "all failed", "as when one failed", quiesced + `-a -t 192.0.2.10:80 -r 192.0.2.22:80 -m -w 0
# -r 192.0.2.21:80 -x 10 -y 5
`},
	{"92-mark-global-fallback", "all failed", "ldirectord makes a command without an address of a global fallback and a firewall mark, and logs success", `-A -f 13 -s wrr
-a -f 13 -r 127.0.0.1:80 -g -w 1
`},
	{"93-port-of-a-real-server-left-out", "started", "ldirectord never finds a server again whose port was left out, and leaves it at weight 0", bothServe},
	{"93-port-of-a-real-server-left-out", "recovered", "as when it was started", bothServe},
	{"103-ports-left-out", "started", leftOut, leftOutServe},
	{"103-ports-left-out", "one failed", leftOut, without(leftOutServe, "192.0.2.21")},
	{"103-ports-left-out", "recovered", leftOut, leftOutServe},
	{"112-thresholds-in-another-order", "started", "ldirectord loses u: before l:, and the kernel refuses the server", thresholds},
	{"112-thresholds-in-another-order", "recovered", "as when it was started", thresholds},
	{"37-schedflags-mh", "one failed", keepsSlots, mh + `-a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 0
-a -t 192.0.2.10:80 -r 192.0.2.22:80 -g -w 1
`},
	{"37-schedflags-mh", "all failed", keepsSlots, mh + `-a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 0
-a -t 192.0.2.10:80 -r 192.0.2.22:80 -g -w 0
`},
	{"75-given-twice", "started", setsFallback, sh + shServe},
	{"75-given-twice", "one failed", keepsSlots, sh + `-a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 0
-a -t 192.0.2.10:80 -r 192.0.2.22:80 -g -w 1
`},
	{"75-given-twice", "all failed", keepsSlots, sh + `-a -t 192.0.2.10:80 -r 127.0.0.1:80 -g -w 1
-a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 0
-a -t 192.0.2.10:80 -r 192.0.2.22:80 -g -w 0
`},
	{"75-given-twice", "recovered", setsFallback, sh + shServe},
	{"98-marks", "one failed", keepsSlots, `-A -f 21 -s wrr -p 60
-A -f 22 -s sh -b sh-fallback,sh-port
-A -f 23 -s wrr
-A -f 24 -6 -s wrr -p 60 -M 64
-a -f 21 -r 192.0.2.22:8080 -m -w 3
-a -f 22 -r 192.0.2.21:0 -g -w 0
-a -f 22 -r 192.0.2.22:0 -i -w 3 --tun-type ipip
-a -f 23 -r 127.0.0.1:0 -g -w 1
-a -f 24 -6 -r [2001:db8::22]:0 -g -w 1
`},
	{"98-marks", "all failed", keepsSlots, `-A -f 21 -s wrr -p 60
-A -f 22 -s sh -b sh-fallback,sh-port
-A -f 23 -s wrr
-A -f 24 -6 -s wrr -p 60 -M 64
-a -f 21 -r 127.0.0.1:8080 -m -w 1
-a -f 22 -r 192.0.2.21:0 -g -w 0
-a -f 22 -r 192.0.2.22:0 -i -w 0 --tun-type ipip
-a -f 23 -r 127.0.0.1:0 -g -w 1
-a -f 24 -6 -r [2001:db8::24]:0 -g -w 1
`},
}

const (
	keepsSlots   = "directord keeps a server with weight 0 if the scheduler falls back, so that the hash table of both directors is the same"
	setsFallback = "directord sets sh-fallback or mh-fallback if the file has no schedflags"

	mh      = "-A -t 192.0.2.10:80 -s mh -b mh-fallback,mh-port\n"
	sh      = "-A -t 192.0.2.10:80 -s sh -b sh-fallback\n"
	shServe = `-a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 1
-a -t 192.0.2.10:80 -r 192.0.2.22:80 -g -w 1
`
)

// without returns the table after the lines of one real server are removed.
func without(table, server string) string {
	var left strings.Builder
	for line := range strings.Lines(table) {
		if !strings.Contains(line, "-r "+server+":") {
			left.WriteString(line)
		}
	}
	return left.String()
}

const leftOut = "ldirectord gives a masq server whose port was left out port 0, which is the same"

const leftOutServe = `-A -t 192.0.2.10:80 -s wrr
-A -t 192.0.2.11:80 -s wrr
-a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 1
-a -t 192.0.2.10:80 -r 192.0.2.22:80 -g -w 2
-a -t 192.0.2.11:80 -r 192.0.2.21:80 -m -w 1
-a -t 192.0.2.11:80 -r 192.0.2.22:80 -m -w 2
`

const thresholds = `-A -t 192.0.2.10:80 -s wrr
-a -t 192.0.2.10:80 -r 192.0.2.21:80 -m -w 2
-a -t 192.0.2.10:80 -r 192.0.2.22:80 -m -w 2
# -r 192.0.2.21:80 -x 10 -y 5
# -r 192.0.2.22:80 -x 10 -y 5
`

const quiesced = `-A -t 192.0.2.10:80 -s wrr
-a -t 192.0.2.10:80 -r 192.0.2.21:80 -m -w 0
`

const bothServe = `-A -t 192.0.2.10:80 -s wrr
-a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 1
-a -t 192.0.2.10:80 -r 192.0.2.22:80 -g -w 1
`

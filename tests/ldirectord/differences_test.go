package ldirectord

import "strings"

// difference is a state where directord's table differs from ldirectord's on purpose.
type difference struct {
	name, state string
	reason      string // why the tables differ; docs/migration.md has the same text
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
}

// without returns a table without the lines of one real server.
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

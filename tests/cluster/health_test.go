package cluster

import (
	"fmt"
	"testing"
)

// webConfig is the file of seed 003, in its words.
func webConfig(quiescent string) string {
	return fmt.Sprintf(`checktimeout=3
checkinterval=1
autoreload=yes
quiescent=%s
virtual=192.0.2.10:80
	real=192.0.2.21:80 gate
	real=192.0.2.22:80 gate
	fallback=127.0.0.1:80 gate
	service=http
	request=".health.html"
	receive="OK"
	scheduler=rr
	protocol=tcp
	checktype=negotiate
	checkport=80
`, quiescent)
}

// The tables of webConfig.
const (
	virtual  = "-A -t 192.0.2.10:80 -s rr\n"
	sorry    = "-a -t 192.0.2.10:80 -r 127.0.0.1:80 -g -w 1\n"
	rs1      = "-a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 1\n"
	rs2      = "-a -t 192.0.2.10:80 -r 192.0.2.22:80 -g -w 1\n"
	rs1out   = "-a -t 192.0.2.10:80 -r 192.0.2.21:80 -g -w 0\n"
	rs2out   = "-a -t 192.0.2.10:80 -r 192.0.2.22:80 -g -w 0\n"
	bothIn   = virtual + rs1 + rs2
	firstOut = virtual + rs1out + rs2
	sorryIn  = virtual + sorry + rs1out + rs2out
)

// writeConfig gives both directors the same ldirectord.cf.
func (s site) writeConfig(t *testing.T, text string) {
	t.Helper()
	for _, name := range []string{"director1", "director2"} {
		s.Node(name).WriteFile(t, "/etc/ha.d/ldirectord.cf", text)
	}
}

package moves

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"lvs-agents/tests/lab"
)

// TestMain runs the tests. If the first argument is serve or load, the test binary is the server or
// the client of a test.
func TestMain(m *testing.M) {
	var err error
	switch args := os.Args[1:]; {
	case len(args) > 2 && args[0] == "serve":
		err = serve(args[1], args[2:])
	case len(args) == 2 && args[0] == "load":
		var mix Mix
		if err = json.Unmarshal([]byte(args[1]), &mix); err == nil {
			err = load(mix, os.Stdin)
		}
	default:
		os.Exit(m.Run())
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

// number returns the number in an environment variable. If the variable is unset, it returns unset,
// which is the value for make test.
func number(name string, unset int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return unset
}

// mix returns the traffic of the tests. LAB_OPEN sets how many connections are open, and LAB_RATE
// how many new connections a second the client makes.
func mix() Mix {
	open := number("LAB_OPEN", 1000)
	const busy = 20
	m := Mix{Target: lab.VIP, Idle: open - 3*busy, Chatty: busy, Streaming: busy, Datagrams: busy,
		Requests: number("LAB_RATE", 100)}
	for i := range 10 {
		m.Sources = append(m.Sources, fmt.Sprintf("192.0.2.%d", 101+i))
	}
	return m
}

// site is the network of a test: two real servers with a running server each, and the addresses of
// the clients. The tests boot the directors.
type site struct{ *lab.Topology }

func newSite(t *testing.T) site {
	t.Helper()
	s := site{lab.NewTopology(t)}
	for _, name := range []string{"rs1", "rs2"} {
		host := s.Host(name)
		host.HideVIP(t, lab.VIP)
		begin(t, host.Command(context.Background(), self(t), "serve", name, lab.VIP, host.Addr))
	}
	var addresses strings.Builder
	for _, source := range mix().Sources {
		fmt.Fprintf(&addresses, "ip addr add %s/24 dev eth0\n", source)
	}
	for _, name := range senders {
		mac := strings.TrimSpace(s.Host(name).Run(t, "cat", "/sys/class/net/eth0/address"))
		fmt.Fprintf(&addresses, "iptables-legacy -w -A INPUT -p tcp --tcp-flags RST RST -m mac --mac-source %s -m comment --comment %s\n", mac, name)
	}
	s.Host("client").Script(t, addresses.String())
	return s
}

// senders lists the hosts that can reset a connection of the client.
var senders = []string{"director1", "director2", "rs1", "rs2"}

// resets returns how many resets the client has received from each host since the last call.
func (s site) resets(t *testing.T) string {
	t.Helper()
	return s.Host("client").Script(t, "iptables-legacy -w -Z -nvxL INPUT | awk '$1 > 0 && / MAC/ {printf \"%s from %s, \", $1, $(NF-1)}'")
}

func self(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// staged returns the directory that "make stage" writes.
func staged(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs("../../bin/root")
	if err != nil {
		t.Fatal(err)
	}
	return path
}

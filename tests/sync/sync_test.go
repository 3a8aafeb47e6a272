// Package sync tests that the connections of one director survive on another director, on a kernel
// with IPVS and without a cluster.
package sync

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"lvs-agents/internal/connection"
	"lvs-agents/internal/kernel/ipvs"
	"lvs-agents/internal/kernel/resync"
	"lvs-agents/tests/lab"
)

// services balance TCP and UDP over rs1 and rs2: with and without persistence, by firewall mark,
// and over IPv6.
const services = `ipvsadm --set 0 0 900
ipvsadm -A -t 192.0.2.10:7000 -s rr
ipvsadm -a -t 192.0.2.10:7000 -r 192.0.2.21:7000 -g
ipvsadm -a -t 192.0.2.10:7000 -r 192.0.2.22:7000 -g
ipvsadm -A -u 192.0.2.10:7000 -s rr
ipvsadm -a -u 192.0.2.10:7000 -r 192.0.2.21:7000 -g
ipvsadm -a -u 192.0.2.10:7000 -r 192.0.2.22:7000 -g
ipvsadm -A -t 192.0.2.10:7001 -s rr -p 300
ipvsadm -a -t 192.0.2.10:7001 -r 192.0.2.21:7001 -g
ipvsadm -a -t 192.0.2.10:7001 -r 192.0.2.22:7001 -g
ipvsadm -A -f 5 -s rr -p 300
ipvsadm -a -f 5 -r 192.0.2.21:0 -g
ipvsadm -a -f 5 -r 192.0.2.22:0 -g
ipvsadm -A -t [2001:db8::10]:7000 -s rr
ipvsadm -a -t [2001:db8::10]:7000 -r [2001:db8::21]:7000 -g
ipvsadm -a -t [2001:db8::10]:7000 -r [2001:db8::22]:7000 -g
iptables-legacy -t mangle -A PREROUTING -d 192.0.2.10 -p tcp --dport 7002 -j MARK --set-mark 5
`

const (
	takeVIP = "ip addr add 192.0.2.10/32 dev eth0; ip addr add 2001:db8::10/128 dev eth0 nodad; " +
		"arping -q -c 2 -U -I eth0 192.0.2.10 || true"
	startDaemons = "sysctl -qw net.ipv4.vs.sync_threshold='0 0' net.ipv4.vs.sync_refresh_period=1 net.ipv4.vs.sync_retries=3\n" +
		"ipvsadm --start-daemon backup --mcast-interface eth0 --syncid 7%[1]s\n" +
		"ipvsadm --start-daemon master --mcast-interface eth0 --syncid 7%[1]s\n"
)

// absence returns how long the second director is away after the connections have become idle.
// LAB_ABSENCE, which the long tests set, changes this time.
func absence(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("LAB_ABSENCE")
	if text == "" {
		return 20 * time.Second
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// directors is a pair of directors with the services. The first director has the VIPs.
type directors struct {
	*lab.Topology
	one, two, client *lab.Host
}

// newDirectors returns a pair of directors. The synchronisation daemons of the first director run,
// with the additional options.
func newDirectors(t *testing.T, options string) directors {
	t.Helper()
	lab.Require(t, "ipvsadm", "iptables-legacy", "arping")
	topology := lab.NewTopology(t)
	d := directors{topology, topology.Host("director1"), topology.Host("director2"), topology.Host("client")}
	for _, name := range []string{"rs1", "rs2"} {
		topology.Host(name).HideVIP(t, lab.VIP, lab.VIP6)
		for _, port := range []string{"7000", "7001", "7002"} {
			echo(t, topology.Host(name), ":"+port)
		}
		echoUDP(t, topology.Host(name), lab.VIP+":7000")
	}
	d.one.Script(t, services+takeVIP+"\n"+fmt.Sprintf(startDaemons, options))
	d.two.Script(t, services)
	return d
}

// echo starts a server that sends back each byte. It ends with the test.
func echo(t *testing.T, h *lab.Host, address string) {
	t.Helper()
	listener := h.Listen(t, "tcp", address)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = conn.Close() })
			go func() {
				word := make([]byte, 1)
				for {
					if _, err := conn.Read(word); err != nil {
						return
					}
					_, _ = conn.Write(word)
				}
			}()
		}
	}()
}

// echoUDP replies to each datagram with the name of the host.
func echoUDP(t *testing.T, h *lab.Host, address string) {
	t.Helper()
	var conn net.PacketConn
	err := h.Do(func() (err error) {
		conn, err = (&net.ListenConfig{}).ListenPacket(context.Background(), "udp", address)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	go func() {
		word := make([]byte, 1)
		for {
			_, from, err := conn.ReadFrom(word)
			if err != nil {
				return
			}
			_, _ = conn.WriteTo([]byte(h.Name), from)
		}
	}()
}

// open is an open connection of the client.
type open struct {
	net.Conn
	udp   bool
	reply string
}

// query sends a byte over the connection and returns the reply.
func (o open) query() (string, error) {
	if _, err := o.Write([]byte("x")); err != nil {
		return "", err
	}
	_ = o.SetReadDeadline(time.Now().Add(5 * time.Second))
	word := make([]byte, 100)
	n, err := o.Read(word)
	return string(word[:n]), err
}

// open opens n connections to all services, and sends a byte over each.
func (d directors) open(t *testing.T, n int) []open {
	t.Helper()
	kinds := []struct{ network, address string }{
		{"tcp", lab.VIP + ":7000"}, {"tcp", lab.VIP + ":7001"}, {"tcp", lab.VIP + ":7002"},
		{"udp", lab.VIP + ":7000"}, {"tcp", "[" + lab.VIP6 + "]:7000"},
	}
	var all []open
	for i := range n {
		kind := kinds[i%len(kinds)]
		conn, err := d.client.Dial(t.Context(), kind.network, kind.address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		o := open{Conn: conn, udp: kind.network == "udp"}
		if o.reply, err = o.query(); err != nil {
			t.Fatalf("%s %s: %v", kind.network, kind.address, err)
		}
		all = append(all, o)
	}
	return all
}

// crash disconnects the first director and gives the VIPs to the second director. It returns how
// many connections are broken. A UDP connection counts as broken if another server replies.
func (d directors) crash(t *testing.T, all []open) int {
	t.Helper()
	d.one.Cut(t)
	d.two.Script(t, takeVIP)
	d.client.Script(t, "ip neigh flush dev eth0; ip -6 neigh flush dev eth0")
	var broken sync.Map
	var wait sync.WaitGroup
	for i, o := range all {
		wait.Go(func() {
			if reply, err := o.query(); err != nil || reply != o.reply {
				broken.Store(i, true)
			}
		})
	}
	wait.Wait()
	count := 0
	broken.Range(func(any, any) bool { count++; return true })
	return count
}

// sender returns a sender with the state directory dir.
func sender(dir string) resync.Sender { return resync.Sender{IPVS: ipvs.New(), StateDir: dir} }

// send runs a sender in the namespace of a host.
func send(t *testing.T, h *lab.Host, s resync.Sender) resync.Report {
	t.Helper()
	var report resync.Report
	err := h.Do(func() (err error) {
		report, err = s.Send(t.Context())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// TestResyncOfIdleConnections opens connections while the second director is away, and lets them
// become idle. The second director comes back and takes over. After a resync, no connection may
// break. Without a resync, most of them must break. All rows wait at the same time.
func TestResyncOfIdleConnections(t *testing.T) {
	const n = 500
	tests := []struct {
		name, options string
		resync        bool
		directors     directors
		connections   []open
	}{
		{name: "with resync", resync: true},
		{name: "with resync over IPv6", options: " --mcast-group ff05::81", resync: true},
		{name: "without resync"},
	}
	for i := range tests {
		tests[i].directors = newDirectors(t, tests[i].options)
		tests[i].connections = tests[i].directors.open(t, n)
	}
	lab.Wait(t, absence(t)+time.Minute, "the absence", after(absence(t)))
	var rows []string
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.directors.two.Script(t, fmt.Sprintf(startDaemons, tt.options))
			if tt.resync {
				t.Log(send(t, tt.directors.one, sender(t.TempDir())))
			}
			lab.Wait(t, time.Minute, "10 seconds", after(10*time.Second))
			broken := tt.directors.crash(t, tt.connections)
			t.Logf("%d of %d connections broken", broken, n)
			rows = append(rows, fmt.Sprintf("| %s | %s | %d of %d |\n", tt.name, absence(t), broken, n))
			if tt.resync && broken > 0 || !tt.resync && broken < n/2 {
				t.Fail()
			}
		})
	}
	writeFigures(t, rows)
}

// writeFigures writes a part of docs/connections-figures.md to the directory LAB_FIGURES, if the
// variable is set.
func writeFigures(t *testing.T, rows []string) {
	t.Helper()
	dir := os.Getenv("LAB_FIGURES")
	if dir == "" {
		return
	}
	text := "\n## A director comes back\n\n" +
		"A director was away while clients opened connections and let them become idle. After its return, the\n" +
		"other directors sent their connections (resync) or not. 10 s later, the other director crashed.\n\n" +
		"| form | idle for | broken connections |\n|---|---|---|\n" + strings.Join(rows, "")
	if err := os.WriteFile(filepath.Join(dir, "figures3"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// after returns a check for lab.Wait that fails until the pause is over.
func after(pause time.Duration) func() error {
	began := time.Now()
	return func() error {
		if time.Since(began) < pause {
			return errors.New("not yet")
		}
		return nil
	}
}

// share returns how many per cent of the first director's connections the second director has. It
// computes the value as the agent does.
func (d directors) share(t *testing.T) int {
	t.Helper()
	var sketch connection.Sketch
	found := map[uint32]bool{}
	read := func(h *lab.Host, each func(connection.Connection, bool)) {
		err := h.Do(func() error {
			_, err := resync.Table{}.Connections(t.Context(), func(c connection.Connection, here bool) error {
				each(c, here)
				return nil
			})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	read(d.one, func(c connection.Connection, here bool) {
		if here && c.Lasting() {
			sketch.Add(c)
		}
	})
	sketch.Want(found)
	read(d.two, func(c connection.Connection, _ bool) {
		if _, wanted := found[c.Hash()]; wanted {
			found[c.Hash()] = true
		}
	})
	return sketch.Share(found)
}

// TestCoverage checks how many per cent of the connections a returning director has, before and
// after a resync. It also checks that the lock lets only one sender run at a time.
func TestCoverage(t *testing.T) {
	d := newDirectors(t, "")
	d.open(t, 200)
	d.two.Script(t, fmt.Sprintf(startDaemons, ""))
	if got := d.share(t); got != 0 {
		t.Errorf("before: %d %%", got)
	}
	dir := t.TempDir()
	var wait sync.WaitGroup
	took := make([]time.Duration, 2)
	began := time.Now()
	for i := range took {
		wait.Go(func() {
			send(t, d.one, sender(dir))
			took[i] = time.Since(began)
		})
	}
	wait.Wait()
	if first, second := min(took[0], took[1]), max(took[0], took[1]); second-first < time.Second {
		t.Errorf("two senders ran at the same time: %s and %s", first, second)
	}
	lab.Wait(t, 5*time.Second, "coverage", func() error {
		if got := d.share(t); got < 99 {
			return fmt.Errorf("%d %%", got)
		}
		return nil
	})
	t.Log("connections of the second director by state:", d.two.Script(t, "awk 'NR > 1 {print $1, $8}' /proc/net/ip_vs_conn | sort | uniq -c | tr '\n' ';'"))
}

// TestReloadDuringAResync changes the schedulers of both directors while connections are sent. No
// connection may break at a take-over after that.
func TestReloadDuringAResync(t *testing.T) {
	d := newDirectors(t, "")
	all := d.open(t, 300)
	d.two.Script(t, fmt.Sprintf(startDaemons, ""))
	var wait sync.WaitGroup
	wait.Go(func() { t.Log(send(t, d.one, sender(t.TempDir()))) })
	for _, scheduler := range []string{"lc", "wrr", "mh", "rr"} {
		for _, h := range []*lab.Host{d.one, d.two} {
			h.Script(t, fmt.Sprintf("for s in '-t 192.0.2.10:7000' '-u 192.0.2.10:7000' '-t [2001:db8::10]:7000'; do ipvsadm -E $s -s %s; done\n"+
				"for s in '-t 192.0.2.10:7001' '-f 5'; do ipvsadm -E $s -s %[1]s -p 300; done", scheduler))
		}
	}
	wait.Wait()
	if got := d.share(t); got < 99 {
		t.Errorf("%d %%", got)
	}
	if broken := d.crash(t, all); broken > 0 {
		t.Errorf("%d of %d connections broken", broken, len(all))
	}
}

// TestSenderIsKilled kills a sender. The next sender must start at once and send everything.
// Without the master synchronisation daemon, a sender must return ErrStopped.
func TestSenderIsKilled(t *testing.T) {
	d := newDirectors(t, "")
	d.open(t, 100)
	d.two.Script(t, fmt.Sprintf(startDaemons, ""))
	dir := t.TempDir()
	program, err := filepath.Abs("../../bin/sync")
	if err != nil {
		t.Fatal(err)
	}
	killed := d.one.Start(t, "env", "LVS_AGENTS_STATE_DIR="+dir, program, "resync")
	lab.Wait(t, 5*time.Second, "the lock", func() error {
		text, err := os.ReadFile(filepath.Join(dir, "lock-resync"))
		if err == nil && len(text) == 0 {
			err = errors.New("not locked")
		}
		return err
	})
	killed.Kill()
	report := send(t, d.one, sender(dir))
	if report.Sent < 100 {
		t.Errorf("sent %s", report)
	}
	if got := d.share(t); got < 99 {
		t.Errorf("%d %%", got)
	}
	d.one.Script(t, "ipvsadm --stop-daemon master")
	err = d.one.Do(func() error { _, err := sender(dir).Send(t.Context()); return err })
	if !errors.Is(err, resync.ErrStopped) {
		t.Errorf("without a daemon: %v", err)
	}
}

// TestOnlyServedConnectionsAreSent checks that a director without the VIP does not send its old
// entries, unless the option All is set. As a real server, it has the VIP on lo.
func TestOnlyServedConnectionsAreSent(t *testing.T) {
	d := newDirectors(t, "")
	all := d.open(t, 20)
	d.one.Script(t, "ip addr del 192.0.2.10/32 dev eth0; ip addr del 2001:db8::10/128 dev eth0\n"+
		"ip addr add 192.0.2.10/32 dev lo; ip addr add 2001:db8::10/128 dev lo")
	s := sender(t.TempDir())
	s.Dry = true
	if r := send(t, d.one, s); r.Sent != 1 || r.Elsewhere < len(all) { // the only sent entry is the template of the firewall mark
		t.Errorf("without the VIPs: %s", r)
	}
	s.All = true
	if r := send(t, d.one, s); r.Sent < len(all) || r.Elsewhere != 0 {
		t.Errorf("all: %s", r)
	}
}

func TestMain(m *testing.M) { os.Exit(m.Run()) }

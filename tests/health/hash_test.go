package health

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"lvs-agents/tests/lab"
)

// pair consists of two directors with the same services, and a client. If the directory down of a
// director contains a file for a real server, the director's checks of that real server fail. The
// client's packets reach the director that route has set.
type pair struct {
	topology *lab.Topology
	one, two director
	readings int // how many client addresses the function mapping has used
}

// servers are the real servers. Odd addresses are on rs1, even addresses on rs2.
var servers = []int{21, 22, 23, 24, 25, 26}

// newPair returns two directors without virtual services, but with a configuration file. services
// are lines of this file. newPair replaces the word REALS in them by lines for all real servers.
func newPair(t *testing.T, services string) *pair {
	t.Helper()
	p := &pair{one: newBareDirector(t, "no")}
	p.topology = p.one.topology
	p.topology.Host("rs1").HideVIP(t, lab.VIP)
	p.topology.Host("rs2").HideVIP(t, lab.VIP)
	p.topology.Host("rs1").Script(t, "for i in 23 25; do ip addr add 192.0.2.$i/24 dev eth0; done")
	p.topology.Host("rs2").Script(t, "for i in 24 26; do ip addr add 192.0.2.$i/24 dev eth0; done")
	p.topology.Host("client").Script(t, "for i in $(seq 50); do ip addr add 198.51.100.$i/32 dev lo; done")
	for _, rs := range []string{"rs1", "rs2"} {
		p.topology.Host(rs).Script(t, "ip route add 198.51.100.0/24 via 192.0.2.100")
	}
	p.two = p.one
	p.two.Host = p.topology.Host("director2")
	state, err := os.MkdirTemp("", "lvs")
	if err != nil {
		t.Fatal(err)
	}
	two := &p.two
	two.state, two.config, two.log = state, filepath.Join(state, "web.cf"), filepath.Join(state, "log")
	t.Cleanup(func() {
		if pid := two.pid(); pid != 0 {
			_ = syscall.Kill(pid, syscall.SIGKILL) // a Kill error is normal: the process can have ended
		}
		_ = os.RemoveAll(state)
	})
	for _, d := range []director{p.one, p.two} {
		d.Script(t, `cd /proc/sys/net/ipv4/conf/all; echo 1 >arp_ignore; echo 2 >arp_announce; ip addr add 192.0.2.10/32 dev lo`)
		d.hash(t, services)
	}
	return p
}

// hash writes the configuration file of a director, and the program that its external checks run.
func (d director) hash(t *testing.T, services string) {
	t.Helper()
	reals := ""
	for _, server := range servers {
		reals += fmt.Sprintf("\treal=192.0.2.%d gate %d\n", server, server%3+1)
	}
	check := filepath.Join(d.state, "check")
	reals += "\tchecktype=external\n\tcheckcommand=" + check + "\n"
	if err := os.MkdirAll(filepath.Join(d.state, "down"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(check, []byte("#!/bin/sh\n[ ! -e "+d.state+"/down/$3 ]\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	d.write(t, fmt.Sprintf("checkinterval=1\nchecktimeout=10\nsloppy_tcp=yes\nlogfile=%q\n", d.log)+strings.ReplaceAll(services, "REALS", reals))
}

// fail makes the checks of a real server fail, or succeed again.
func (d director) fail(t *testing.T, server int, down bool) {
	t.Helper()
	path := filepath.Join(d.state, "down", fmt.Sprintf("192.0.2.%d", server))
	var err error
	if down {
		err = os.WriteFile(path, nil, 0o644)
	} else if err = os.Remove(path); errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	if err != nil {
		t.Fatal(err)
	}
}

// start starts the services and the health daemon.
func (d director) start(t *testing.T) {
	t.Helper()
	d.agent(t, 0, "ipvs", "web-ipvs", "start", "config="+d.config)
	d.agent(t, 0, "health", "web-health", "start", "config="+d.config)
}

// stop stops the services and the health daemon that start has started.
func (d director) stop(t *testing.T) {
	t.Helper()
	d.agent(t, 0, "health", "web-health", "stop", "config="+d.config)
	d.agent(t, 0, "ipvs", "web-ipvs", "stop", "config="+d.config)
}

// waitWeight waits until the real server has the given weight in every service of the director.
func (d director) waitWeight(t *testing.T, server, weight int) {
	t.Helper()
	want := fmt.Sprintf(" -r 192.0.2.%d:", server)
	lab.Wait(t, 30*time.Second, "weight", func() error {
		table := d.table(t)
		for line := range strings.Lines(table) {
			if strings.Contains(line, want) && !strings.HasSuffix(line, fmt.Sprintf(" -w %d\n", weight)) {
				return errors.New(table)
			}
		}
		if !strings.Contains(table, want) {
			return errors.New(table)
		}
		return nil
	})
}

// route makes a director the next hop of the client for packets to the VIP.
func (p *pair) route(t *testing.T, d director) {
	t.Helper()
	p.topology.Host("client").Script(t, "ip route replace "+lab.VIP+"/32 via "+d.Addr)
}

// ports is the number of client ports whose mapping a test reads.
const ports = 1000

// mapping returns the real server that a director chooses for each port of a client address. The
// client sends datagrams, and the kernel shows the connections that it has made from them.
func (p *pair) mapping(t *testing.T, d director, client string, port int) (chosen [ports]int) {
	t.Helper()
	p.route(t, d)
	lab.Wait(t, 20*time.Second, "connections", func() error {
		err := p.topology.Host("client").Do(func() error { return send(client, port, chosen) })
		if err != nil {
			return err
		}
		err = d.Do(func() (err error) {
			chosen, err = readChosen(client, port)
			return err
		})
		for i, server := range chosen {
			if err == nil && server == 0 {
				err = fmt.Errorf("no connection from port %d", firstPort+i)
			}
		}
		return err
	})
	return chosen
}

const firstPort = 10000

// send sends a datagram from each client port that has no real server yet.
func send(client string, port int, chosen [ports]int) error {
	to := &net.UDPAddr{IP: net.ParseIP(lab.VIP), Port: port}
	for i, server := range chosen {
		if server != 0 {
			continue
		}
		conn, err := net.DialUDP("udp4", &net.UDPAddr{IP: net.ParseIP(client), Port: firstPort + i}, to)
		if err != nil {
			return err
		}
		_, err = conn.Write([]byte("x"))
		_ = conn.Close()
		if err != nil && !errors.Is(err, syscall.ECONNREFUSED) {
			return err
		}
	}
	return nil
}

// readChosen reads from the kernel's table which real server the director has chosen for each port
// of a client address. It uses the network namespace of the calling thread.
func readChosen(client string, port int) (chosen [ports]int, err error) {
	file, err := os.Open("/proc/thread-self/net/ip_vs_conn")
	if err != nil {
		return chosen, err
	}
	defer func() { _ = file.Close() }()
	raw := netip.MustParseAddr(client).As4()
	from := strings.ToUpper(hex.EncodeToString(raw[:]))
	for lines := bufio.NewScanner(file); lines.Scan(); {
		// The columns of /proc/net/ip_vs_conn are: Pro FromIP FPrt ToIP TPrt DestIP DPrt State
		// Expires
		words := strings.Fields(lines.Text())
		if len(words) < 7 || words[1] != from || words[4] != fmt.Sprintf("%04X", port) {
			continue
		}
		source, err := strconv.ParseUint(words[2], 16, 16)
		if err != nil {
			return chosen, err
		}
		dest, err := hex.DecodeString(words[5])
		if err != nil || int(source) < firstPort || int(source) >= firstPort+ports {
			return chosen, fmt.Errorf("unexpected connection %q: %w", lines.Text(), err)
		}
		chosen[int(source)-firstPort] = int(binary.BigEndian.Uint32(dest) & 0xff)
	}
	return chosen, nil
}

// differ returns how many client ports the two directors map to different real servers. It also
// returns how many ports director two maps to each real server.
func (p *pair) differ(t *testing.T, port int) (n int, share map[int]int) {
	t.Helper()
	p.readings++
	client := fmt.Sprintf("198.51.100.%d", p.readings)
	share = map[int]int{}
	a, b := p.mapping(t, p.one, client, port), p.mapping(t, p.two, client, port)
	for i := range a {
		share[b[i]]++
		if a[i] != b[i] {
			n++
		}
	}
	return n, share
}

// same checks that both directors map all client ports in the same way, and that a real server that
// is down gets none.
func (p *pair) same(t *testing.T, situation string, down int) {
	t.Helper()
	for scheduler, port := range map[string]int{"mh": 5060, "sh": 5061} {
		n, share := p.differ(t, port)
		t.Logf("%s, %s: %d of %d differ, shares %v", situation, scheduler, n, ports, share)
		if n != 0 || share[down] != 0 || len(share) < len(servers)-1 {
			t.Errorf("%s, %s: %d of %d differ, shares %v\n%s\n%s", situation, scheduler, n, ports, share, p.one.order(t), p.two.order(t))
		}
	}
}

// order returns the destinations in the order of the kernel's list, where the newest destination
// comes first. Each is in hexadecimal digits. ipvsadm would sort them.
func (d director) order(t *testing.T) string {
	t.Helper()
	var text []byte
	if err := d.Do(func() (err error) {
		text, err = os.ReadFile("/proc/thread-self/net/ip_vs")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	var order []string
	for line := range strings.Lines(string(text)) {
		if words := strings.Fields(line); len(words) > 1 && words[0] == "->" && words[1] != "RemoteAddress:Port" {
			order = append(order, words[1])
		}
	}
	return strings.Join(order, " ")
}

const twoHashes = `virtual=192.0.2.10:5060
	protocol=udp
	scheduler=mh
	schedflags=mh-fallback,mh-port
REALSvirtual=192.0.2.10:5061
	protocol=udp
	scheduler=sh
	schedflags=sh-fallback,sh-port
REALS`

// TestTwoDirectorsChooseTheSameServer checks with packets that both directors choose the same real
// server for each client port. Failures, reloads and manual changes on one director must not make a
// difference.
func TestTwoDirectorsChooseTheSameServer(t *testing.T) {
	p := newPair(t, twoHashes)
	p.one.start(t)

	// without a health daemon, ipvs leaves an order that a person has made
	p.two.agent(t, 0, "ipvs", "web-ipvs", "start", "config="+p.two.config)
	p.same(t, "two directors that have started", 0)
	p.two.Script(t, `for i in 21 22 23 24 25; do
		ipvsadm -d -u 192.0.2.10:5060 -r 192.0.2.$i; ipvsadm -a -u 192.0.2.10:5060 -r 192.0.2.$i -g -w 0; ipvsadm -e -u 192.0.2.10:5060 -r 192.0.2.$i -g -w $((i%3+1)); done`)
	n, _ := p.differ(t, 5060)
	t.Logf("another order: %d of %d differ", n, ports)
	if n == 0 {
		t.Error("another order changes nothing, so this test proves nothing")
	}
	p.two.agent(t, 0, "ipvs", "web-ipvs", "reload-agent", "config="+p.two.config)
	p.same(t, "after a reload of ipvs", 0)
	p.two.agent(t, 0, "health", "web-health", "start", "config="+p.two.config)

	for _, d := range []director{p.one, p.two} {
		d.fail(t, 22, true)
		d.waitWeight(t, 22, 0)
	}
	p.same(t, "one server down on both directors", 22)

	p.two.stop(t)
	p.two.agent(t, 0, "ipvs", "web-ipvs", "start", "config="+p.two.config)
	p.two.waitWeight(t, 22, 0)
	p.same(t, "one server down when one director started", 22)
	p.two.agent(t, 0, "health", "web-health", "start", "config="+p.two.config)
	p.same(t, "and its health daemon", 22)

	p.disturb(t, 50)
	for _, server := range servers {
		p.two.fail(t, server, server == 22)
	}
	for _, server := range servers {
		weight := server%3 + 1
		if server == 22 {
			weight = 0
		}
		p.two.waitWeight(t, server, weight)
	}
	p.two.agent(t, 0, "ipvs", "web-ipvs", "monitor", "config="+p.two.config)
	p.same(t, "after 50 failures, changes by hand and reloads", 22)
	for _, d := range []director{p.one, p.two} {
		d.fail(t, 22, false)
		d.waitWeight(t, 22, 2)
	}
	p.same(t, "all servers up again", 0)
	p.one.stop(t)
	p.two.stop(t)
}

// disturb makes random changes on director two: failures, manual changes, reloads and kills of its
// daemon.
func (p *pair) disturb(t *testing.T, changes int) {
	t.Helper()
	r := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	down := map[int]bool{22: true}
	for range changes {
		server := servers[r.IntN(len(servers))]
		switch r.IntN(6) {
		case 0, 1:
			down[server] = !down[server]
			p.two.fail(t, server, down[server])
		case 2: // The daemon can have added the server again meanwhile, so an error of ipvsadm -a is ignored.
			p.two.Script(t, fmt.Sprintf("ipvsadm -d -u %[1]s -r 192.0.2.%[2]d; ipvsadm -a -u %[1]s -r 192.0.2.%[2]d -g -w %[3]d || true", "192.0.2.10:5060", server, 1+r.IntN(5)))
		case 3:
			p.two.Script(t, fmt.Sprintf("ipvsadm -d -u 192.0.2.10:5061 -r 192.0.2.%d || true", server))
		case 4:
			p.two.agent(t, 0, "ipvs", "web-ipvs", "reload-agent", "config="+p.two.config)
		case 5:
			p.two.killed(t)
			p.two.agent(t, 0, "health", "web-health", "start", "config="+p.two.config)
		}
		<-time.After(time.Duration(r.IntN(300)) * time.Millisecond)
	}
}

const webHash = `virtual=192.0.2.10:80
	protocol=tcp
	scheduler=mh
	schedflags=mh-fallback,mh-port
REALS`

// echo starts a server on port 80 of every address of the host. The server sends back each byte
// that it reads.
func echo(t *testing.T, host *lab.Host) {
	t.Helper()
	listener := host.Listen(t, "tcp4", "0.0.0.0:80")
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(conn, conn)
				_ = conn.Close()
			}()
		}
	}()
}

// open opens connections from the client to the VIP. Each sends a byte every 100 ms and waits for
// it, until the returned function is called. That function returns the number of connections that
// broke.
func (p *pair) open(t *testing.T, n int) func() int {
	t.Helper()
	var broken atomic.Int64
	stop, ended := make(chan struct{}), make(chan struct{}, n)
	for range n {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		conn, err := p.topology.Host("client").Dial(ctx, "tcp4", lab.VIP+":80")
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			defer func() {
				_ = conn.Close()
				ended <- struct{}{}
			}()
			for {
				select {
				case <-stop:
					return
				case <-time.After(100 * time.Millisecond):
				}
				if err := ping(conn); err != nil {
					broken.Add(1)
					return
				}
			}
		}()
	}
	return func() int {
		close(stop)
		for range n {
			<-ended
		}
		return int(broken.Load())
	}
}

func ping(conn net.Conn) error {
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return err
	}
	if _, err := conn.Write([]byte("x")); err != nil {
		return err
	}
	_, err := io.ReadFull(conn, make([]byte, 1))
	return err
}

// TestRepairOfTheOrderKeepsConnections measures how many open connections the daemon breaks when it
// repairs the order of the destinations. It then lets the other director take over and return.
func TestRepairOfTheOrderKeepsConnections(t *testing.T) {
	p := newPair(t, webHash)
	for _, rs := range []string{"rs1", "rs2"} {
		echo(t, p.topology.Host(rs))
	}
	p.one.start(t)
	p.two.start(t)
	const connections, repairs = 200, 3
	for _, expire := range []string{"1", "0"} {
		for _, d := range []director{p.one, p.two} {
			d.Script(t, "echo "+expire+" >/proc/sys/net/ipv4/vs/expire_nodest_conn")
		}
		broken := 0
		for range repairs {
			broken += p.repair(t, connections)
		}
		t.Logf("expire_nodest_conn=%s: %d of %d connections broken by repairs of the order", expire, broken, connections*repairs)
		if expire == "0" && broken > 0 {
			t.Errorf("%d connections broken by repairs", broken)
		}
	}
	end := p.open(t, connections)
	p.route(t, p.two)
	<-time.After(2 * time.Second)
	p.route(t, p.one)
	<-time.After(2 * time.Second)
	if broken := end(); broken > 0 {
		t.Errorf("%d of %d connections broken by a take-over", broken, connections)
	}
	p.one.stop(t)
	p.two.stop(t)
	for _, d := range []director{p.one, p.two} {
		if got := strings.TrimSpace(d.Script(t, "cat /proc/sys/net/ipv4/vs/sloppy_tcp")); got != "0" {
			t.Errorf("sloppy_tcp is %s after stop", got)
		}
	}
}

// repair puts the first destination last, opens connections, and lets the daemon repair the order:
// the daemon adds all other destinations again. repair returns the number of broken connections.
func (p *pair) repair(t *testing.T, connections int) int {
	t.Helper()
	p.route(t, p.one)
	sorted := p.one.order(t)
	signal := func(s syscall.Signal) {
		if err := syscall.Kill(p.one.pid(), s); err != nil {
			t.Fatal(err)
		}
	}
	signal(syscall.SIGSTOP)
	p.one.Script(t, `ipvsadm -d -t 192.0.2.10:80 -r 192.0.2.21; ipvsadm -a -t 192.0.2.10:80 -r 192.0.2.21 -g -w 1`)
	end := p.open(t, connections)
	signal(syscall.SIGCONT)
	lab.Wait(t, 10*time.Second, "order", func() error {
		if order := p.one.order(t); order != sorted {
			return errors.New(order)
		}
		return nil
	})
	<-time.After(time.Second)
	return end()
}

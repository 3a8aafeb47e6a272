package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// native compares the cost of the agent vip with the cost of IPaddr2. It returns an error if vip
// exceeds a limit.
func native(bin string) error {
	bin, err := installed(bin)
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(bin) }()
	for _, line := range []string{"link set lo up", "link add eth0 type veth peer name cable", "link set cable up",
		"link set eth0 up", "addr add 192.0.2.11/24 dev eth0", "addr add 2001:db8::11/64 dev eth0 nodad"} {
		if err := ip(line); err != nil {
			return err
		}
	}
	for _, dir := range []string{"/run/resource-agents", "/run/lvs-agents"} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	v4 := family{bin: bin, address: "192.0.2.10/24", rounds: 20}
	v6 := family{bin: bin, address: "2001:db8::10/64", rounds: 8, name: ", IPv6", nodad: true} // few rounds, because IPaddr2 waits one second for its sender
	rows := append(v4.rows(), v6.rows()...)
	rows = append(rows, v4.row("meta-data", "meta-data", 60), v4.row("validate-all", "validate-all", 60))
	return errors.Join(table("vip against IPaddr2, natively", rows), monitors(v4), monitors(v6), many(v4), detection(v6))
}

// installed copies vip and the empty program into a new directory, as an installation does. A
// program that the linker wrote takes up to 12 % longer than its copy
// (docs/adr/0068-start-up-of-an-agent.md).
func installed(bin string) (string, error) {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return "", err
	}
	return dir, errors.Join(os.Mkdir(dir+"/tests", 0o755), quiet([]string{"cp", bin + "/vip", dir}), quiet([]string{"cp", bin + "/tests/empty", dir + "/tests"}))
}

func ip(line string) error { return quiet(append([]string{"ip"}, strings.Fields(line)...)) }

// family is an address of one IP version, and the settings of the runs that use this address.
type family struct {
	bin, address, name string
	rounds             int
	nodad              bool
}

func (f family) env(extra ...string) []string {
	address, bits, _ := strings.Cut(f.address, "/")
	env := []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "OCF_ROOT=/usr/lib/ocf", "OCF_RESOURCE_INSTANCE=web", "LC_ALL=C",
		"OCF_RESKEY_CRM_meta_interval=10000", "OCF_RESKEY_ip=" + address, "OCF_RESKEY_nic=eth0", "OCF_RESKEY_cidr_netmask=" + bits}
	if f.nodad {
		env = append(env, "OCF_RESKEY_nodad=true")
	}
	return append(env, extra...)
}

// row compares vip with IPaddr2 in one action. extra lists additional parameters for both agents.
func (f family) row(title, action string, rounds int, extra ...string) row {
	one := func(name, path string) subject {
		return subject{name: name, argv: []string{path, action}, env: f.env(append(extra, "OCF_RESOURCE_TYPE="+filepath.Base(path))...)}
	}
	subjects := []subject{one("vip", f.bin+"/vip"), one("IPaddr2", "/usr/lib/ocf/resource.d/heartbeat/IPaddr2")}
	return row{title: title + f.name, rounds: rounds, subjects: subjects}
}

// add returns the ip command that adds the address, and del the ip command that deletes it.
func (f family) add() []string {
	argv := []string{"ip", "addr", "add", f.address, "dev", "eth0"}
	if f.nodad {
		argv = append(argv, "nodad")
	}
	return argv
}

func (f family) del() []string { return []string{"ip", "addr", "del", f.address, "dev", "eth0"} }

func (f family) rows() []row {
	return []row{
		f.row("monitor, running, announcing", "monitor", 60, everyMonitor).during(f.add(), f.del()),
		f.row("monitor, running, without an announcement", "monitor", 60, "OCF_RESKEY_arp_count_refresh=0").during(f.add(), f.del()).atLeast(10),
		f.row("monitor, stopped", "monitor", 60).around(nil, nil, 7),
		f.row("start", "start", f.rounds).around(nil, f.del(), 0).atLeast(8),
		f.row("stop", "stop", f.rounds).around(f.add(), nil, 0).atLeast(8),
	}
}

// everyMonitor is a parameter that makes every monitor of vip announce the address again.
const everyMonitor = "OCF_RESKEY_arp_refresh_interval=0"

// monitors compares monitors of vip with an empty Go program, whose cost is the minimum cost of an
// agent in Go. It prints the mean cost of a monitor with the default refresh interval, where only
// some monitors announce.
func monitors(f family) error {
	const perMinute, announcing = 6, 2 // with the defaults, a monitor runs every 10 s and announces every 30 s
	one := func(extra string) subject {
		return subject{name: "vip", argv: []string{f.bin + "/vip", "monitor"}, env: f.env(extra)}
	}
	costs, err := measure(row{rounds: 100, subjects: []subject{one(everyMonitor)}}.during(f.add(), f.del()))
	if err != nil {
		return err
	}
	// The sender of an announcing monitor still runs when the monitor has ended. So these two
	// programs are not measured between announcing monitors.
	silent, err := measure(row{rounds: 100, subjects: []subject{
		one("OCF_RESKEY_arp_count_refresh=0"), {name: "empty Go program", argv: []string{f.bin + "/tests/empty"}},
	}}.during(f.add(), f.del()))
	if err != nil {
		return err
	}
	costs = append(costs, silent...)
	mean := (announcing*costs[0].wall + (perMinute-announcing)*costs[1].wall) / perMinute
	ratio := float64(costs[1].wall) / float64(costs[2].wall)
	fmt.Printf("monitor%s: announcing %s, else %s, mean over a minute %s; an empty Go program %s, %.2f times less than a monitor without an announcement\n\n",
		f.name, round(costs[0].wall), round(costs[1].wall), round(mean), round(costs[2].wall), ratio)
	if ratio > 1.6 {
		return fmt.Errorf("monitor%s without an announcement takes %.2f times as long as an empty Go program, more than 1.6", f.name, ratio)
	}
	return nil
}

// during returns a copy of the row with the commands begin (before all rounds) and end (after all
// rounds).
func (r row) during(begin, end []string) row {
	r.begin, r.end = begin, end
	return r
}

// around sets the commands before and after each run of every subject, and the exit code that the
// subjects must return.
func (r row) around(before, after []string, code int) row {
	for i := range r.subjects {
		r.subjects[i].before, r.subjects[i].after, r.subjects[i].code = before, after, code
	}
	return r
}

// atLeast sets the field least, the smallest accepted ratio of the wall-clock times.
func (r row) atLeast(times float64) row {
	r.least = times
	return r
}

// many compares a monitor on a host with 500 other addresses with a monitor on the same host
// without them.
func many(f family) error {
	argv := []string{f.bin + "/vip", "monitor"}
	monitor := row{rounds: 60, subjects: []subject{{name: "vip", argv: argv, env: f.env()}}}.during(f.add(), f.del())
	alone, err := measure(monitor)
	if err != nil {
		return err
	}
	batch := exec.Command("ip", "-batch", "-")
	var lines strings.Builder
	for n := range 500 {
		fmt.Fprintf(&lines, "addr add 198.18.%d.%d/15 dev eth0\n", n/250, 1+n%250)
	}
	batch.Stdin = strings.NewReader(lines.String())
	if out, err := batch.CombinedOutput(); err != nil {
		return fmt.Errorf("500 addresses: %w: %s", err, out)
	}
	crowded, err := measure(monitor)
	if err != nil {
		return err
	}
	ratio := float64(crowded[0].wall) / float64(alone[0].wall)
	fmt.Printf("monitor beside 500 addresses: %s; beside none: %s; %.2f times\n\n", round(crowded[0].wall), round(alone[0].wall), ratio)
	if ratio > 2 {
		return fmt.Errorf("monitor with 500 other addresses takes %.2f times as long as without them, more than 2", ratio)
	}
	return nil
}

// detection measures how much longer a start of vip takes than the kernel's duplicate address
// detection alone.
func detection(f family) error {
	f.nodad = false
	var extra []time.Duration
	for range 10 {
		more, err := detected(f)
		if err != nil {
			return err
		}
		extra = append(extra, more)
	}
	more := median(extra)
	fmt.Printf("start of an IPv6 address: duplicate address detection and %s\n", round(more))
	if more > 50*time.Millisecond {
		return fmt.Errorf("start takes %s more than duplicate address detection, which is above 50ms", more)
	}
	return nil
}

// detected starts the address and returns the difference of two times: the duration of the start,
// and the time that the kernel's duplicate address detection took (the address was tentative).
func detected(f family) (time.Duration, error) {
	updates, done := make(chan netlink.AddrUpdate, 100), make(chan struct{})
	defer close(done)
	if err := netlink.AddrSubscribe(updates, done); err != nil {
		return 0, err
	}
	took := make(chan time.Duration)
	address, _, _ := strings.Cut(f.address, "/")
	go func() {
		var began time.Time
		for update := range updates {
			switch tentative := update.Flags&unix.IFA_F_TENTATIVE != 0; {
			case update.LinkAddress.IP.String() != address || !update.NewAddr:
			case tentative:
				began = time.Now()
			default:
				took <- time.Since(began)
				return
			}
		}
	}()
	start := subject{name: "vip", argv: []string{f.bin + "/vip", "start"}, env: f.env(), after: f.del()}
	c, err := start.run()
	if err != nil {
		return 0, err
	}
	return c.wall - <-took, nil
}

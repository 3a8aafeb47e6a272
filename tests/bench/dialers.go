package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"

	"lvs-agents/internal/check"
	"lvs-agents/internal/check/epoll"
)

// leastGain is the smallest gain that justifies the code of package epoll. A check with package net
// must cost at least leastGain times the CPU time of a check with package epoll.
const leastGain = 1.1

// turn is the time between two groups of checks, and atOnce is the number of checks in a group.
// directord with 300 checks a second makes its checks in such groups, too.
const (
	turn   = 50 * time.Millisecond
	atOnce = realServers / int(time.Second/turn)
)

// delay is the time that the simulated network takes for each packet to or from a real server.
const delay = 150 * time.Microsecond

var dialerNames = []string{"epoll", "net"} // the benchmark compares the other dialers with the last one

// dialers measures the CPU time of a check with package epoll and with package net, in turns. Each
// measurement runs in a separate process. The process that calls dialers simulates the real servers
// and the network.
func dialers() error {
	if err := reflect(); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", outside+":8080")
	if err != nil {
		return err
	}
	var accepted atomic.Int64
	go serve(listener, &accepted)
	self, err := os.Executable()
	if err != nil {
		return err
	}
	costs := map[program]use{}
	for range rounds {
		for _, kind := range kinds {
			for _, name := range dialerNames {
				u, err := dialed(self, kind, name)
				if err != nil {
					return fmt.Errorf("%s by %s: %w", kind, name, err)
				}
				sum := costs[program{kind, name}]
				costs[program{kind, name}] = use{sum.checks + u.checks, sum.span + u.span, sum.cpu + u.cpu}
			}
		}
	}
	return dialersTable(costs)
}

func dialersTable(costs map[program]use) error {
	w := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
	fmt.Fprintf(w, "checks of %d real servers with %s of delay, once a second, by both dialers\n\ncheck\tdialer\tchecks a second\tCPU per check\ttimes less\n", realServers, 2*delay)
	var missed error
	base := dialerNames[len(dialerNames)-1]
	for _, kind := range kinds {
		theirs := costs[program{kind, base}]
		for _, name := range dialerNames {
			ours, ratio := costs[program{kind, name}], ""
			if name != base {
				times := float64(theirs.perCheck()) / float64(ours.perCheck())
				ratio = fmt.Sprintf("%.2f", times)
				if times < leastGain {
					missed = errors.Join(missed, fmt.Errorf("a %s check by %s costs %.2f times less than by %s, not %.1f", kind, name, times, base, leastGain))
				}
			}
			fmt.Fprintf(w, "%s\t%s\t%.0f\t%s\t%s\n", kind, name, ours.rate(), ours.perCheck(), ratio)
		}
	}
	fmt.Fprintln(w)
	return errors.Join(w.Flush(), missed)
}

// reflect creates a tun device and simulates a network where this process is every real server.
// reflect reads each packet, waits for delay, exchanges source and destination address, and writes
// the packet back. The exchange does not change the checksums.
func reflect() error {
	tun, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("/dev/net/tun: %w", err)
	}
	request, err := unix.NewIfreq("tun0")
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(tun, unix.TUNSETIFF, request); err != nil {
		return fmt.Errorf("tun0: %w", err)
	}
	for _, args := range []string{"link set lo up", "addr add " + outside + "/24 dev tun0", "link set tun0 up", "route add " + servers + " dev tun0"} {
		if err := quiet(append([]string{"ip"}, strings.Fields(args)...)); err != nil {
			return err
		}
	}
	go func() {
		for {
			// If a signal interrupts Poll, the next read returns no packets.
			_, _ = unix.Poll([]unix.PollFd{{Fd: int32(tun), Events: unix.POLLIN}}, -1)
			packets := waiting(tun)
			pause := unix.NsecToTimespec(int64(delay)) // Nanosleep is more precise than Go's timers
			_ = unix.Nanosleep(&pause, nil)            // A signal can end the pause too early. This does not change the figures.
			for _, p := range packets {
				_, _ = unix.Write(tun, p) // If the write fails, TCP sends the packet again.
			}
		}
	}()
	return nil
}

// waiting returns the IPv4 packets that have arrived at the tun device, with source and destination
// exchanged.
func waiting(tun int) (packets [][]byte) {
	for {
		p := make([]byte, 2048)
		n, err := unix.Read(tun, p)
		if err != nil {
			return packets
		}
		if n >= 20 && p[0]>>4 == 4 {
			var source [4]byte
			copy(source[:], p[12:16])
			copy(p[12:16], p[16:20])
			copy(p[16:20], source[:])
			packets = append(packets, p[:n])
		}
	}
}

// dialed measures one dialer: it starts this program again, and the second process makes the
// checks.
func dialed(self, kind, name string) (u use, err error) {
	cmd := exec.Command(self, "dialing", kind+" "+name)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err == nil {
		_, err = fmt.Sscan(string(out), &u.checks, &u.span, &u.cpu)
	}
	return u, err
}

// dialing runs in the process that dialed has started. It makes checks for the warm-up, and then
// for the measured time. It prints the CPU time of the measured part only.
func dialing(what string) error {
	kind, name, _ := strings.Cut(what, " ")
	dialer := check.Dialer(check.NetDialer{})
	if name == "epoll" {
		d, err := epoll.Open()
		if err != nil {
			return err
		}
		defer d.Close()
		dialer = d
	}
	checks, err := checksBy(kind, dialer)
	if err != nil {
		return err
	}
	if _, err := repeated(warmUp, checks); err != nil {
		return err
	}
	u, err := repeated(measured, checks)
	if err != nil {
		return err
	}
	fmt.Println(u.checks, int64(u.span), int64(u.cpu))
	return nil
}

// checksOf makes all checks of the n-th turn. It returns after the last of these checks has ended.
type checksOf func(ctx context.Context, n int, done func(int, error))

// checksBy returns a function that makes checks as internal/health does. Connect checks of a turn
// are made in one call. Every other check has its own goroutine. All checks of a turn have the same
// context.
func checksBy(kind string, dialer check.Dialer) (_ checksOf, err error) {
	sources := check.NewSources()
	var connects [realServers]check.Connect
	var pages [realServers]check.Checker
	for n := range realServers {
		addr := netip.AddrPortFrom(netip.MustParseAddr(realServer(n)), 8080)
		connects[n] = check.Connect{Addr: addr, Source: sources, Dialer: dialer}
		if pages[n], err = check.Negotiate("http", check.Target{Addr: addr, Source: sources, Dialer: dialer, Request: "/health"}); err != nil {
			return nil, err
		}
	}
	if kind == "TCP" {
		return func(ctx context.Context, n int, done func(int, error)) {
			from := n * atOnce % realServers
			check.ConnectAll(ctx, dialer, connects[from:from+atOnce], done)
		}, nil
	}
	return func(ctx context.Context, n int, done func(int, error)) {
		from := n * atOnce % realServers
		var all sync.WaitGroup
		for i, page := range pages[from : from+atOnce] {
			all.Go(func() { done(i, page.Check(ctx)) })
		}
		all.Wait()
	}, nil
}

// repeated calls checks once per turn until the time span is over. It returns the number of checks
// and their CPU time.
func repeated(span time.Duration, checks checksOf) (u use, err error) {
	began, before := time.Now(), ownCPU()
	var mu sync.Mutex
	ticker := time.NewTicker(turn)
	defer ticker.Stop()
	for n := range int(span / turn) {
		<-ticker.C
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		checks(ctx, n, func(_ int, failure error) {
			mu.Lock()
			defer mu.Unlock()
			u.checks++
			err = errors.Join(err, failure)
		})
		cancel()
		if err != nil {
			return u, err
		}
	}
	u.span, u.cpu = time.Since(began), ownCPU()-before
	return u, nil
}

// ownCPU returns the CPU time of this process.
func ownCPU() time.Duration {
	var usage syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &usage) // never fails
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

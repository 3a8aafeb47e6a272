package announce

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"lvs-agents/internal/host"
	"lvs-agents/internal/kernel/link"
)

// Verb is the first argument of a sender process. The sender process passes the arguments after
// Verb to SendArguments. Verb is not an OCF action, and the metadata does not list it.
const Verb = "announce"

// socketOfSender is the number of the file descriptor of the socket in the sender process.
const socketOfSender = 3

// Neighbours are the other hosts on the links of this host.
type Neighbours struct{}

// Announce starts this program again as a separate process, the sender. The sender runs in a new
// session, because the cluster waits for an action, and kills the process group of the action on a
// timeout. Announce opens the socket before it starts the sender, so that it returns an error if
// this host cannot send announcements.
func (Neighbours) Announce(ctx context.Context, a host.Announcement) error {
	socket, err := Open(ctx, a.NIC, a.IP)
	if err != nil || socket == nil {
		return err
	}
	defer socket.Close()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	// The sender must not keep the caller's files and locks open.
	_ = unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC)
	args := append([]string{filepath.Base(os.Args[0]), Verb}, arguments(a)...)
	sender, err := os.StartProcess("/proc/self/exe", args, &os.ProcAttr{
		Dir: "/", Env: []string{}, Files: []*os.File{null, null, null, socket},
		Sys: &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return fmt.Errorf("starting the sender: %w", err)
	}
	if !a.Wait {
		return sender.Release()
	}
	return wait(ctx, sender)
}

// wait returns when the sender has ended, or when ctx ends. The sender can continue after the end
// of ctx.
func wait(ctx context.Context, sender *os.Process) error {
	ended := make(chan error, 1)
	go func() {
		state, err := sender.Wait()
		if err == nil && !state.Success() {
			err = fmt.Errorf("the sender: %s", state)
		}
		ended <- err
	}()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		return fmt.Errorf("waiting for the sender: %w", ctx.Err())
	}
}

// SendArguments sends the announcements that the arguments after Verb describe. It stops when the
// address is no longer on its interface, because another director can have the address then. The
// directory lockDir is the same as for link.New.
func SendArguments(lockDir string, args []string) error {
	nic, ip, burst, err := parse(args)
	if err != nil {
		return err
	}
	limit := time.Duration(burst.Count+1)*burst.Interval + time.Minute
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	kernel := link.New(lockDir)
	burst.Still = func() bool {
		_, have, err := kernel.On(ctx, nic, ip)
		return err == nil && len(have) > 0
	}
	burst.Socket = os.NewFile(socketOfSender, "announcements")
	return burst.Send(ctx, nic, ip)
}

func arguments(a host.Announcement) []string {
	return []string{a.NIC, a.IP.String(), strconv.Itoa(a.Count), a.Interval.String(), a.Also}
}

// parse reads the arguments that the function arguments returns.
func parse(args []string) (nic string, ip netip.Addr, burst Burst, err error) {
	if len(args) != 5 {
		return "", ip, burst, fmt.Errorf("%d arguments, not 5", len(args))
	}
	ip, err1 := netip.ParseAddr(args[1])
	count, err2 := strconv.Atoi(args[2])
	interval, err3 := time.ParseDuration(args[3])
	also, _ := net.ParseMAC(args[4]) // The argument is empty if no host receives copies.
	return args[0], ip, Burst{Count: count, Interval: interval, Also: also}, cmp.Or(err1, err2, err3)
}

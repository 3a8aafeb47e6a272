package main

import (
	"context"
	"fmt"
	"math"
	"net"
	"net/netip"
	"os"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"lvs-agents/agents/vip"
	"lvs-agents/internal/kernel/announce"
	"lvs-agents/internal/kernel/link"
	"lvs-agents/ocf"
)

// announceVerb makes this program the sender that start leaves behind. It is
// no OCF action and not advertised.
const announceVerb = "announce"

// socketOfSender is the file descriptor that the sender gets.
const socketOfSender = 3

// neighbours announces from a process in a session of its own, because the
// cluster waits for start and kills its process group on a timeout.
type neighbours struct{}

// Announce starts the sender. It opens the socket, so that start finds out when no
// announcement can ever leave.
func (neighbours) Announce(ctx context.Context, a vip.Announcement) error {
	socket, err := announce.Open(ctx, a.NIC, a.IP)
	if err != nil || socket == nil {
		return err
	}
	defer socket.Close()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	// Nor does it keep the caller's files and locks open.
	_ = unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC)
	args := []string{"vip", announceVerb, a.NIC, a.IP.String(), strconv.Itoa(a.Count), a.Interval.String(), a.Also}
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

// wait returns when the sender has ended; it outlives a context that ends first.
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

// Owner is part of vip.Neighbours.
func (neighbours) Owner(ctx context.Context, nic string, ip netip.Addr, wait time.Duration) (string, error) {
	owner, err := announce.Owner(ctx, nic, ip, wait)
	return owner.String(), err
}

// Answers is part of vip.Neighbours.
func (neighbours) Answers(ctx context.Context, nic string, ip, neighbour netip.Addr, wait time.Duration) (bool, error) {
	return announce.Answers(ctx, nic, ip, neighbour, wait)
}

// Tell is part of vip.Neighbours.
func (neighbours) Tell(ctx context.Context, nic string, ip, neighbour netip.Addr) error {
	return announce.Tell(ctx, nic, ip, neighbour)
}

// announceBurst sends while the address is on the interface.
func announceBurst(args []string) int {
	if len(args) != 5 {
		return 1
	}
	ip, err1 := netip.ParseAddr(args[1])
	count, err2 := strconv.Atoi(args[2])
	interval, err3 := time.ParseDuration(args[3])
	if err1 != nil || err2 != nil || err3 != nil {
		return 1
	}
	also, _ := net.ParseMAC(args[4]) // empty for none
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(count+1)*interval+time.Minute)
	defer cancel()
	dir, _ := ocf.StateDir()
	kernel := link.New(dir)
	still := func() bool {
		_, have, err := kernel.On(ctx, args[0], ip)
		return err == nil && len(have) > 0 // else another director may have it
	}
	burst := announce.Burst{Count: count, Interval: interval, Still: still, Also: also, Socket: os.NewFile(socketOfSender, "announcements")}
	if err := burst.Send(ctx, args[0], ip); err != nil {
		return 1
	}
	return 0
}

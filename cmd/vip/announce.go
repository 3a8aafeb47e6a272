package main

import (
	"context"
	"fmt"
	"math"
	"net/netip"
	"os"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"lvs-agents/internal/kernel/announce"
	"lvs-agents/internal/kernel/link"
	"lvs-agents/ocf"
)

// announceVerb makes this program the sender that start leaves behind. It is
// no OCF action and not advertised.
const announceVerb = "announce"

// detachedAnnouncer sends from a process in a session of its own, because the
// cluster waits for start and kills its process group on a timeout.
type detachedAnnouncer struct{}

// Announce starts the sender and does not wait for it.
func (detachedAnnouncer) Announce(nic string, ip netip.Addr, count int, interval time.Duration) error {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	// Nor does it keep the caller's files and locks open.
	_ = unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC)
	args := []string{"vip", announceVerb, nic, ip.String(), strconv.Itoa(count), interval.String()}
	sender, err := os.StartProcess("/proc/self/exe", args, &os.ProcAttr{
		Dir: "/", Env: []string{}, Files: []*os.File{null, null, null},
		Sys: &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return fmt.Errorf("starting the sender: %w", err)
	}
	return sender.Release()
}

// announceBurst sends while the address is on the interface.
func announceBurst(args []string) int {
	if len(args) != 4 {
		return 1
	}
	ip, err1 := netip.ParseAddr(args[1])
	count, err2 := strconv.Atoi(args[2])
	interval, err3 := time.ParseDuration(args[3])
	if err1 != nil || err2 != nil || err3 != nil {
		return 1
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(count+1)*interval+time.Minute)
	defer cancel()
	kernel := link.New(ocf.DefaultStateDir)
	still := func() bool {
		have, _ := kernel.Addresses(ctx, ip)
		for _, address := range have {
			if address.NIC == args[0] {
				return true
			}
		}
		return false // gone, or nobody knows: another director may have it
	}
	burst := announce.Burst{Count: count, Interval: interval, Still: still}
	if err := burst.Send(ctx, args[0], ip); err != nil {
		return 1
	}
	return 0
}

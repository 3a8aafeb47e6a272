package main

import (
	"context"
	"fmt"
	"time"

	systemd "github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"

	"lvs-agents/internal/health"
)

// tell sends a state to systemd if that listens.
func (s *serving) tell(state string) {
	told := make(chan error, 1)
	go func() {
		_, err := systemd.SdNotify(false, state)
		told <- err
	}()
	select {
	case err := <-told:
		if err != nil {
			s.log.Debugf("systemd: %v", err)
		}
	case <-time.After(second): // its socket is full
	}
}

func (s *serving) notifyReady()    { s.tell(systemd.SdNotifyReady) }
func (s *serving) notifyStopping() { s.tell(systemd.SdNotifyStopping) }

// notifyReloading carries the time that Type=notify-reload wants, see sd_notify(3).
func (s *serving) notifyReloading() {
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) // every Linux has it
	s.tell(fmt.Sprintf("%s\nMONOTONIC_USEC=%d", systemd.SdNotifyReloading, now.Nano()/1000))
}

// supervise feeds systemd's watchdog as long as the daemon's loops turn.
func (s *serving) supervise(ctx context.Context, d *health.Daemon) {
	interval, err := systemd.SdWatchdogEnabled(false)
	if err != nil || interval == 0 {
		return
	}
	ticker := time.NewTicker(interval / 3)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		asked, cancel := context.WithTimeout(ctx, interval/3)
		snapshot, err := d.Snapshot(asked)
		cancel()
		if err == nil && snapshot.Alive() == nil {
			s.tell(systemd.SdNotifyWatchdog)
		}
	}
}

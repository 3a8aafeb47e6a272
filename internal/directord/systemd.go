package directord

import (
	"context"
	"fmt"
	"time"

	sd "github.com/coreos/go-systemd/v22/daemon"
	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"

	"lvs-agents/internal/health"
)

// systemd sends the state of the daemon to systemd, if systemd has started the daemon.
type systemd struct{ log logrus.FieldLogger }

// notifyTimeout is how long a notification of systemd can take. The socket of systemd can be full.
const notifyTimeout = time.Second

// notify sends a state to systemd if the environment names its socket.
func (s systemd) notify(state string) {
	sent := make(chan error, 1)
	go func() {
		_, err := sd.SdNotify(false, state)
		sent <- err
	}()
	select {
	case err := <-sent:
		if err != nil {
			s.log.Debugf("systemd: %v", err)
		}
	case <-time.After(notifyTimeout):
	}
}

func (s systemd) ready()    { s.notify(sd.SdNotifyReady) }
func (s systemd) stopping() { s.notify(sd.SdNotifyStopping) }

// reloading notifies systemd that a reload begins. The message has the time that Type=notify-reload
// requires, see sd_notify(3).
func (s systemd) reloading() {
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) // ClockGettime cannot fail: every Linux kernel has this clock.
	s.notify(fmt.Sprintf("%s\nMONOTONIC_USEC=%d", sd.SdNotifyReloading, now.Nano()/1000))
}

// feed notifies the watchdog of systemd as long as the loops of the daemon run.
func (s systemd) feed(ctx context.Context, d *health.Daemon) {
	interval, err := sd.SdWatchdogEnabled(false)
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
		limited, cancel := context.WithTimeout(ctx, interval/3)
		snapshot, err := d.Snapshot(limited)
		cancel()
		if err == nil && snapshot.Alive() == nil {
			s.notify(sd.SdNotifyWatchdog)
		}
	}
}

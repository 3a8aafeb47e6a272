package systemd

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"lvs-agents/tests/lab"
)

const configuration = `virtual=192.0.2.10:80
	checktype=off
	real=192.0.2.21:80 gate
	scheduler=rr
`

// TestUnits starts and stops our units under systemd. lvsctl-serve must show each change of a
// health daemon, without a restart.
func TestUnits(t *testing.T) {
	lab.Require(t)
	topology := lab.NewTopology(t)
	node := lab.StartSystemd(t, topology, staged(t))
	node.WriteFile(t, "/etc/ha.d/web.cf", configuration)
	node.WriteFile(t, "/etc/ha.d/ldirectord.cf", strings.ReplaceAll(configuration, ":80", ":81"))
	node.Run(t, "systemctl", "start", unit)
	first := property(t, node, unit, "MainPID")
	const up = `lvs_directord_up{daemon="web"} 1`

	// systemctl returns after the notification of the daemon.
	start(t, node, "directord@web")
	contains(t, node, "/metrics", up)
	contains(t, node, "/", "192.0.2.21:80")
	node.Run(t, "systemctl", "restart", "directord@web")
	contains(t, node, "/metrics", up)
	daemon := property(t, node, "directord@web", "MainPID")
	node.Run(t, "systemctl", "kill", "-s", "KILL", "directord@web")
	lab.Wait(t, time.Minute, "another start of directord@web", func() error {
		if now := property(t, node, "directord@web", "MainPID"); now == daemon || now == "0" {
			return fmt.Errorf("process %s", now)
		}
		return nil
	})
	contains(t, node, "/metrics", up)
	stop(t, node, "directord@web")
	contains(t, node, "/", "no health daemon runs on this director")
	if now := property(t, node, unit, "MainPID"); now != first {
		t.Errorf("%s restarted", unit)
	}

	node.Run(t, "systemctl", "start", "--no-block", "directord@web")
	node.Run(t, "systemctl", "restart", unit)
	contains(t, node, "/metrics", up)
	stop(t, node, "directord@web")

	start(t, node, "ldirectord")
	contains(t, node, "/metrics", `lvs_directord_up{daemon="ldirectord"} 1`)
	stop(t, node, "ldirectord")
	stop(t, node, unit)
}

package ipvs

import (
	"context"

	"lvs-agents/internal/doctor"
	"lvs-agents/internal/lvs"
	"lvs-agents/ocf"
)

// warn warns of settings of this host that stop packets of clients or replies of real servers.
func (a *Agent) warn(ctx context.Context, c ocf.Call, want lvs.Table) {
	a.warnOfForwarding(c, want)
	tight, err := doctor.ExamineTunnels(ctx, a.host, want, nil)
	if err != nil {
		c.Log.Debugf("the size of packets is unknown: %v", err)
	}
	if len(tight) > 0 { // The others are alike.
		c.Log.Warn(tight[0])
	}
}

// warnOfForwarding warns if this host has masq servers and does not forward packets. Replies of
// masq servers pass through this host, so the kernel would drop them.
func (a *Agent) warnOfForwarding(c ocf.Call, want lvs.Table) {
	for _, v6 := range []bool{false, true} {
		server := firstMasq(want, v6)
		if server == "" || a.kernel.Forwards(v6) {
			continue
		}
		fix := "net.ipv4.ip_forward=1"
		if v6 {
			fix = "net.ipv6.conf.all.forwarding=1"
		}
		c.Log.Warnf("no interface forwards packets, so replies of %s and other masq servers do not reach clients; sysctl -w %s", server, fix)
	}
}

// firstMasq returns the first masq server on another host. It returns an empty text if there is no
// such server.
func firstMasq(want lvs.Table, v6 bool) string {
	for _, service := range want {
		for _, d := range service.Destinations {
			if ip := d.Addr.Addr(); d.Forward == lvs.Masq && ip.Is6() == v6 && !ip.IsLoopback() {
				return d.Addr.String()
			}
		}
	}
	return ""
}

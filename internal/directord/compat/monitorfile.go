package compat

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
	"time"

	"lvs-agents/internal/config"
	"lvs-agents/internal/health"
	"lvs-agents/internal/lvs"
)

// CheckLine returns the line that a monitorfile gets for the result of a check.
func CheckLine(now time.Time, s health.Service, r health.Real, p health.Probe, err error) string {
	return fmt.Sprintf("[%s] [%d] %s %s\n", now.Format(dateFormat), os.Getpid(), identityOf(s, r, p), outcome(err))
}

// identityOf returns the name of a real server in ldirectord's format: its check, address, port,
// weight and forwarding method.
func identityOf(s health.Service, r health.Real, p health.Probe) string {
	protocol := "fwm"
	if !s.ID.IsMark() {
		protocol = s.ID.Protocol.String()
	}
	words := []string{string(p.Type)}
	if p.Type == config.Combined {
		words = []string{fmt.Sprint(p.Connects)}
	}
	words = append(words, string(p.Application), p.Command, protocol, HostOf(r.Addr), fmt.Sprint(r.Addr.Port()), p.VirtualHost)
	if p.Addr.IsValid() && p.Addr.Port() != r.Addr.Port() && p.Addr.Port() != 0 {
		words = append(words, fmt.Sprint(p.Addr.Port()))
	}
	words = append(words, fmt.Sprint(r.Weight), method(r.Forward))
	if p.Type == config.Negotiate || p.Type == config.Combined {
		words = append(words, "/"+strings.TrimPrefix(p.Request, "/"), p.Receive)
	}
	return strings.ReplaceAll(strings.Join(strings.Fields(strings.Join(words, " ")), " "), `\`, "")
}

// HostOf returns an address without its port, in brackets if it is IPv6.
func HostOf(addr netip.AddrPort) string {
	if addr.Addr().Is6() {
		return "[" + addr.Addr().String() + "]"
	}
	return addr.Addr().String()
}

// method returns the name of a forwarding method, as ldirectord.cf spells it.
func method(f lvs.Forward) string {
	switch f {
	case lvs.Masq:
		return "masq"
	case lvs.Tunnel:
		return "ipip"
	case lvs.Route, lvs.Local, lvs.Bypass:
	}
	return "gate"
}

// outcome returns [up] if err is nil. Otherwise it returns [down] and the reason in one short line.
func outcome(err error) string {
	if err == nil {
		return "[up] -"
	}
	text := strings.NewReplacer("%", "%25", "|", "%7c", "\r", "%0d", "\n", "%0a").Replace(err.Error())
	return "[down] " + strings.ToValidUTF8(text[:min(len(text), 300)], "")
}

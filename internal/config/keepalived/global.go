package keepalived

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"lvs-agents/internal/config"
	"lvs-agents/internal/config/fault"
	"lvs-agents/internal/lvs"
)

// global reads global_defs.
func (p *parser) global(s *statement) {
	for _, inner := range s.body {
		switch inner.key() {
		case "notification_email":
			p.recipients = inner
			for _, line := range inner.body {
				p.alert.To = append(p.alert.To, line.words...)
			}
		case "notification_email_from":
			p.config.AlertFrom = inner.arg()
		case "smtp_server":
			p.alert.Relay = inner.arg()
			if len(inner.words) > 2 {
				p.alert.Relay += ":" + inner.words[2]
			}
		case "no_checker_emails":
			// The health daemon has no mail for a check, only for a real server.
		case "smtp_alert_checker", "smtp_alert":
			p.mails[inner.key()] = p.mailDefault(inner)
		case "lvs_timeouts":
			p.timeouts(inner)
		case "lvs_sync_daemon":
			p.syncDaemon(inner)
		default:
			p.unused(inner)
		}
	}
}

// timeouts reads "lvs_timeouts tcp N tcpfin N udp N".
func (p *parser) timeouts(s *statement) {
	args := s.args()
	for ; len(args) > 1; args = args[2:] {
		i := slices.Index(lvs.TimeoutNames(), args[0])
		n, err := strconv.Atoi(args[1])
		if i < 0 || err != nil || n < 1 || n > mostSeconds {
			p.wrong(s, "not a timeout", "write \"lvs_timeouts tcp 900\", for example")
			return
		}
		p.config.Timeouts[i] = time.Duration(n) * time.Second
	}
}

// syncDaemon reads "lvs_sync_daemon INTERFACE [INSTANCE] [id N] [maxlen N] [port N] [ttl N]
// [group ADDRESS]".
func (p *parser) syncDaemon(s *statement) {
	if s.arg() == "" {
		p.wrong(s, "no interface", "write \"lvs_sync_daemon eth0\", for example")
		return
	}
	d := config.Sync{Line: s.line, SyncDaemon: lvs.SyncDaemon{Interface: s.arg()}}
	args := s.words[2:]
	if len(args)%2 == 1 {
		p.report(s.line, config.Dropped, fault.New("lvs_sync_daemon: the daemons do not follow the instance "+fault.Quote(args[0])+": each director runs both", ""))
		args = args[1:]
	}
	for ; len(args) > 0; args = args[2:] {
		n, err := strconv.ParseUint(args[1], 10, 16)
		group, errGroup := netip.ParseAddr(args[1])
		switch {
		case args[0] == "id" && err == nil && n <= math.MaxUint8:
			d.ID = uint8(n)
		case args[0] == "maxlen" && err == nil:
			d.MaxLen = uint16(n)
		case args[0] == "port" && err == nil:
			d.Port = uint16(n)
		case args[0] == "ttl" && err == nil && n <= math.MaxUint8:
			d.TTL = uint8(n)
		case args[0] == "group" && errGroup == nil:
			d.Group = group
		default:
			p.wrong(s, fmt.Sprintf("%s %s is not an option", args[0], args[1]), "write id, maxlen, port or ttl with a number, or group with an address")
			return
		}
	}
	p.config.Cluster.Sync = &d
}

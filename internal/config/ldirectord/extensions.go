package ldirectord

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"lvs-agents/internal/config"
	"lvs-agents/internal/config/fault"
	"lvs-agents/internal/lvs"
)

// ofOurs returns directives that this project adds and ldirectord does not have.
func ofOurs() []directive {
	return []directive{
		{name: "rise", short: "Good checks until a failed real server is back", where: inBoth, class: plain, set: setCount("checks", func(s *scope) *int { return &s.rise }),
			values: "number", unset: "1", example: "3", about: "How many checks in a row must succeed until a real server that is down counts as up. A new real server counts as up after its first good check. ldirectord does not have this directive."},
		{name: "fall", short: "Failed checks until a real server is down", where: inBoth, class: plain, set: setCount("failures", func(s *scope) *int { return &s.fall }),
			values: "number", unset: "1", example: "2", about: "How many checks in a row must fail until a real server counts as down: another name of failurecount. ldirectord does not have this directive."},
		{name: "fastinter", short: "Time between checks while the verdict is uncertain", where: inBoth, class: plain, set: setTime(func(s *scope) *time.Duration { return &s.fast }),
			values: "seconds, or milliseconds as 500ms", unset: "checkinterval", example: "1\n\tfall=3",
			about: "Time between two checks while the state of a real server is uncertain. A good real server becomes uncertain with a failed check, until it is down or a check succeeds. A real server that is down becomes uncertain with a good check, until it is up or a check fails. fastinter has an effect only with fall or rise above 1, and cannot be above checkinterval or downinter. The name is HAProxy's. ldirectord does not have this directive."},
		{name: "downinter", short: "Time between checks of a real server that is down", where: inBoth, class: plain, set: setTime(func(s *scope) *time.Duration { return &s.down }),
			values: "seconds, or milliseconds as 500ms", unset: "checkinterval", example: "30",
			about: "Time between two checks of a real server that is down. With a longer time than checkinterval, servers that stay down for days cost fewer checks. With a shorter time, servers come back sooner. The name is HAProxy's. ldirectord does not have this directive."},
		{name: "observe", short: "Whether connections can give a reason for an early check", where: inBoth, class: plain, set: setObserve,
			values: "connections or no", unset: "no", example: "connections",
			about: "With connections, the daemon reads every second how many connections of each real server the kernel counts. The counts can be a sign of a fault, for example if connections begin and none of them ends. The daemon then checks the real server at once, but at most once in each checkinterval. Only the result of the check decides whether the server is down. With fall above 1, write a short fastinter too. observe is not for UDP. The name is HAProxy's. ldirectord does not have this directive."},
		{name: "verify", short: "Verification of certificates", where: inBlock, class: plain, set: setVerify,
			values: "no, chain or name", unset: "chain for https, pops and imaps; no for ldaps", example: "name\n\tservice=https\n\tvirtualhost=www.example.org",
			about: "What the check verifies in the TLS certificate of a real server. With chain, an authority that the director trusts must have signed the certificate, and it must be valid now. With name, the certificate must also be for virtualhost, or for the real server's address if virtualhost is unset. With no, the check accepts every certificate. ldirectord does not have this directive."},
		{name: "httpstatus", short: "Good HTTP statuses", where: inBlock, class: freeText, set: setStatuses(func(c *config.Check) *config.Statuses { return &c.Status }),
			values: "statuses, classes and ranges, joined by commas", unset: "2xx", example: "2xx,301,400-404",
			about: "HTTP statuses that count as good. The check does not follow a redirection whose status is listed. ldirectord does not have this directive."},
		{name: "disable_on", short: "HTTP statuses that drain a real server", where: inBlock, class: freeText, set: setStatuses(func(c *config.Check) *config.Statuses { return &c.DisableOn }),
			values: "statuses, classes and ranges, joined by commas", unset: "none", example: "404",
			about: "HTTP statuses that drain the real server. The check then counts as good, and the server gets no new connections until it replies with a good status again. Its open connections continue. disable_on=404 is HAProxy's http-check disable-on-404. ldirectord does not have this directive."},
		{name: "sloppy_tcp", where: inFile, class: yesOrNo, set: setChoice(func(s *scope) **bool { return &s.config.SloppyTCP }),
			values: "yes or no", unset: "the setting stays as it is", example: "yes",
			about: "Whether the kernel schedules a TCP packet of a connection that it does not know (sysctl net.ipv4.vs.sloppy_tcp). With yes and the scheduler mh or sh, a director that takes over continues the open connections. The sysctl is for all services of the network namespace. The resource agent ocf:lvs:ipvs sets it at start and puts the previous value back at stop; directord alone does not set it. ldirectord does not have this directive."},
		{name: "sloppy_sctp", where: inFile, class: yesOrNo, set: setChoice(func(s *scope) **bool { return &s.config.SloppySCTP }),
			values: "yes or no", unset: "the setting stays as it is", example: "yes",
			about: "The same as sloppy_tcp for SCTP packets (sysctl net.ipv4.vs.sloppy_sctp). ldirectord does not have this directive."},
		{name: "expire_nodest_conn", where: inFile, class: yesOrNo, set: setChoice(func(s *scope) **bool { return &s.config.ExpireNodestConn }),
			values: "yes or no", unset: "yes if a service has quiescent=no or a fallback, and no service has mh-fallback or sh-fallback; otherwise the setting stays as it is", example: "yes",
			about: "Whether the kernel ends the connections of a real server that was removed (sysctl net.ipv4.vs.expire_nodest_conn). With yes, clients get a reset, and datagrams go to another real server. With no, clients get no answer and no error, and their connections continue if the real server is added again. The resource agent ocf:lvs:ipvs sets the sysctl, as for sloppy_tcp. ldirectord does not have this directive."},
		{name: "expire_quiescent_template", where: inFile, class: yesOrNo, set: setChoice(func(s *scope) **bool { return &s.config.ExpireQuiescentTemplate }),
			values: "yes or no", unset: "yes if a service has persistent, and its real servers that are down stay with weight 0; otherwise the setting stays as it is", example: "yes",
			about: "Whether the clients of a persistent service leave a real server with weight 0 (sysctl net.ipv4.vs.expire_quiescent_template). With yes, their next connection goes to another real server. With no, it goes to the real server with weight 0, even if that is down. Choose no if a drained real server must keep the sessions of its clients. The resource agent ocf:lvs:ipvs sets the sysctl, as for sloppy_tcp. ldirectord does not have this directive."},
		{name: "conn_reuse_mode", where: inFile, class: plain, set: setReuseMode,
			values: "0, 1 or 3", unset: "3 if a TCP or firewall-mark service without persistent has servers without masq, and its servers that are down stay with weight 0; otherwise the setting stays as it is", example: "3",
			about: "When the kernel schedules a new connection from a port that the client has used a short time before (sysctl net.ipv4.vs.conn_reuse_mode). With 0 never: the connection goes to the same real server as before, even if that has weight 0 now. With 1, if the kernel has seen that both sides closed the earlier connection, which needs masquerading. With 3, it is enough that the client closed it; with gate and ipip, the kernel does not see the server's side. The resource agent ocf:lvs:ipvs sets the sysctl, as for sloppy_tcp. It does not set the default while net.ipv4.vs.conntrack is 1, because the kernel then drops the first packet of that connection. ldirectord does not have this directive."},
		{name: "persistence_engine", where: inBlock, class: plain, set: setEngine,
			values: "sip", unset: "the address of the client", example: "sip\n\tprotocol=udp\n\tpersistent=600",
			about: "How the kernel recognises a client of a persistent service. With sip, all SIP messages over UDP with the same Call-ID go to one real server (kernel module ip_vs_pe_sip). It needs persistent, and protocol=udp or a firewall mark. The word is keepalived's. ldirectord does not have this directive."},
		{name: "lvs_timeouts", where: inFile, class: freeText, set: setTimeouts,
			values: "tcp SECONDS tcpfin SECONDS udp SECONDS, or some of them", unset: "the timeouts stay as they are", example: "tcp 7200 tcpfin 120 udp 300",
			about: "After how many seconds without a packet the kernel forgets a connection (ipvsadm --set). The timeouts are for all services of the network namespace. The resource agent ocf:lvs:ipvs sets them at start and puts the previous values back at stop; directord alone does not set them. The value has the same form as in keepalived.conf. ldirectord does not have this directive."},
	}
}

func setObserve(s *scope, value string) error {
	names := []string{observed, "no"}
	if !slices.Contains(names, value) {
		return fault.Errorf("", "unknown observe %s%s", fault.Quote(value), orUse(value, "connections or no", names...))
	}
	s.observe = new(value == observed)
	return nil
}

// observed is the value of observe that sets config.Service.Observe.
const observed = "connections"

// observeOver returns Observe of the block, completed with the file.
func (own *settings) observeOver(file *settings) bool {
	observe := cmp.Or(own.observe, file.observe)
	return observe != nil && *observe
}

func setEngine(s *scope, value string) (err error) {
	s.block.service.Engine, err = lvs.ParseEngine(fault.Short(value))
	return err
}

func setTimeouts(s *scope, value string) (err error) {
	if s.config.Timeouts, err = lvs.ParseTimeouts(value); err != nil {
		return s.in(value, err)
	}
	return nil
}

// shortest is the shortest time that setTime accepts, the resolution of the daemon's timers.
const shortest = 10 * time.Millisecond

// setTime returns the setter of a time in seconds. With the unit ms, the time is in milliseconds.
func setTime(field func(*scope) *time.Duration) setter {
	return func(s *scope, value string) error {
		number, found := strings.CutSuffix(value, "ms")
		n, err := strconv.ParseUint(number, 10, 31)
		if !found || err != nil {
			return setSeconds(field)(s, value)
		}
		d := time.Duration(n) * time.Millisecond
		if d < shortest || d > lvs.MaxPersistence {
			return fault.Errorf("", "%s is not a number of milliseconds from %d to %d", s.named(value), shortest.Milliseconds(), lvs.MaxPersistence.Milliseconds())
		}
		*field(s) = d
		return nil
	}
}

func setVerify(s *scope, value string) error {
	if !slices.Contains([]string{"no", "chain", "name"}, value) {
		return fault.Errorf("write no, chain or name", "%s is neither no nor chain nor name", s.named(value))
	}
	s.block.check.Verify = config.Verification(value)
	return nil
}

func setReuseMode(s *scope, value string) error {
	if !slices.Contains([]string{"0", "1", "3"}, value) {
		return fault.Errorf("write 0, 1 or 3", "%s is not a mode", s.named(value))
	}
	s.config.ConnReuseMode = value
	return nil
}

func setStatuses(field func(*config.Check) *config.Statuses) setter {
	return func(s *scope, value string) error {
		set, err := s.statuses(value)
		if err == nil {
			*field(&s.block.check) = set
		}
		return err
	}
}

// statuses parses a list of HTTP statuses.
func (s *scope) statuses(value string) (config.Statuses, error) {
	var set config.Statuses
	for _, word := range listed(value) {
		low, high, ok := statusRange(word)
		if !ok {
			return set, fault.Errorf("write 200, 2xx or 200-299, joined by commas", "%s has no status in %s", s.named(value), fault.Quote(word))
		}
		for status := low; status <= high; status++ {
			set.Add(status)
		}
	}
	if set == (config.Statuses{}) {
		return set, fault.Errorf("write 200, 2xx or 200-299, joined by commas", "%s has no status", s.named(value))
	}
	return set, nil
}

// statusRange parses a range of HTTP statuses: 200, 2xx or 200-299.
func statusRange(word string) (low, high int, ok bool) {
	from, to, isRange := strings.Cut(word, "-")
	if class, found := strings.CutSuffix(word, "xx"); found {
		from, to = class+"00", class+"99"
	} else if !isRange {
		to = from
	}
	low, err := strconv.Atoi(from)
	high, other := strconv.Atoi(to)
	return low, high, err == nil && other == nil && low >= 100 && high < 600 && low <= high
}

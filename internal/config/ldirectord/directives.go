package ldirectord

import (
	"slices"
	"time"

	"lvs-agents/internal/config"
	"lvs-agents/internal/config/fault"
)

// place is where a directive can be in a file.
type place uint8

const (
	// inFile: outside of virtual blocks. The directive then counts for all services.
	inFile place = 1 << iota
	// inBlock: in a virtual block. The directive then counts only for its service.
	inBlock
	inBoth = inFile | inBlock
)

// directive declares a directive of ldirectord.cf. Parsing, the reference page,
// the man page and "did you mean" come from it.
type directive struct {
	name  string
	where place
	class class
	set   setter // set stores a clean value. It is nil for virtual and virtual6.
	many  bool   // many says that the directive can be given more than once.
	six   bool   // six says that the example belongs to an IPv6 service.

	values  string // values are the values that the directive can have.
	unset   string // unset is the default. Empty means that there is no default.
	about   string // about is the effect of the directive, in sentences.
	example string // example is the value of the directive in an example.
	with    string // with is another line that the example needs in its block.
	// short is a noun phrase. It is empty for a directive that resources do not have as a
	// parameter.
	short string
}

// scope has the settings that a setter can change.
type scope struct {
	*settings
	block  *block // block is the virtual block of the statement. It is nil outside of virtual blocks.
	config *config.Config
	st     statement
	report func(fault.Fault) // report records a warning.
}

// named returns the directive with its value, for messages.
func (s *scope) named(value string) string { return s.st.dir.name + " " + fault.Quote(value) }

// in returns an error with the directive and its value at the beginning of the text.
func (s *scope) in(value string, err error) error {
	f := fault.Of(err)
	return fault.New(s.named(value)+": "+f.What, f.Fix)
}

func (s *scope) warn(what, fix string) { s.report(fault.New(what, fix)) }

// hidden reports whether the values of the directive must not be shown.
func (d *directive) hidden() bool { return slices.Contains(secretNames, d.name) }

// line returns a line of a configuration file that gives the directive this value.
func (d *directive) line(value string) string {
	switch {
	case d.hidden():
		return d.name + `="` + config.Redacted + `"`
	case d.class == quotedText:
		return d.name + `="` + fault.Short(value) + `"`
	}
	return d.name + "=" + fault.Short(value)
}

// Directive describes a directive of ldirectord.cf.
type Directive struct {
	Name string
	// InFile says that it can be outside of virtual blocks, and InBlock, inside one.
	InFile, InBlock bool
	// Repeats: every line with the directive counts. Otherwise only the last line counts.
	Repeats bool
	Values  string
	Unset   string // Unset is the default. Empty means that there is no default.
	About   string
	Example string // Example is a whole file that uses the directive.
	// Short is a noun phrase. It is empty for a directive that Settings cannot have.
	Short string
}

// Directives lists all directives in the order of their declaration.
func Directives() []Directive {
	var all []Directive
	for _, rows := range tables() {
		for _, d := range rows {
			all = append(all, d.public())
		}
	}
	return all
}

// CheckDirectives lists the directives that Settings can have. Directives with a secret are
// not included, because every user of a cluster can read its parameters.
func CheckDirectives() []Directive {
	var all []Directive
	for _, rows := range [][]directive{ofChecks(), ofTimes(), ofOurs(), ofAgent(), ofPolicy(), ofServers()} {
		for _, d := range rows {
			if d.short != "" {
				all = append(all, d.public())
			}
		}
	}
	return all
}

func (d *directive) public() Directive {
	return Directive{
		Name: d.name, InFile: d.where&inFile != 0, InBlock: d.where&inBlock != 0, Repeats: d.many,
		Values: d.values, Unset: d.unset, About: d.about, Example: d.file(), Short: d.short,
	}
}

// file returns the smallest configuration file that can have the directive.
func (d *directive) file() string {
	line := d.name + "=" + d.example + "\n"
	if d.class == quotedText {
		line = d.name + `="` + d.example + "\"\n"
	}
	if d.with != "" {
		line += "\t" + d.with + "\n"
	}
	service, real := "virtual=192.0.2.10:80\n", "\treal=192.0.2.21:80 masq\n"
	if d.six {
		service, real = "virtual6=[2001:db8::10]:80\n", "\treal6=[2001:db8::21]:80 masq\n"
	}
	switch {
	case d.opens():
		return line + real
	case d.name == "real" || d.name == "real6":
		return service + "\t" + line
	case d.where == inFile:
		return line + service + real
	}
	return service + real + "\t" + line
}

// directives returns every directive by its name.
func directives() map[string]*directive {
	byName := map[string]*directive{}
	for _, rows := range tables() {
		for i := range rows {
			byName[rows[i].name] = &rows[i]
		}
	}
	return byName
}

func tables() [][]directive {
	return [][]directive{ofServers(), ofTimes(), ofDaemon(), ofService(), ofChecks(), ofOurs(), ofAgent(), ofPolicy(), ofMail(), ofNotify(), refused()}
}

func ofServers() []directive {
	return []directive{
		{name: "virtual", where: inFile, class: address, many: true,
			values: "ADDRESS:PORT, [IPV6-ADDRESS]:PORT or the number of a firewall mark", example: "192.0.2.10:80",
			about: "Begins a virtual service; indented lines below belong to it. The address can be a host name, and the port a name as in /etc/services. ADDRESS->ADDRESS:PORT-PORT is a range of addresses, of ports, or of both: the block then describes a separate virtual service for each of them, up to 4096. A real server without a port has the port of each service. ldirectord has no ranges here."},
		{name: "virtual6", where: inFile, class: address, many: true, six: true,
			values: "[IPV6-ADDRESS]:PORT, NAME:PORT or the number of a firewall mark", example: "[2001:db8::10]:80",
			about: "Begins an IPv6 virtual service. Host names and firewall marks of IPv6 services need virtual6. For addresses in brackets, virtual does the same."},
		{name: "real", where: inBlock, class: address, set: setReal(false), many: true,
			values: `ADDRESS[->ADDRESS][:PORT] gate|masq|ipip|gue|gre [WEIGHT] ["REQUEST", "RECEIVE"] [l:N] [u:N] [tier:N] [port:N] [nocsum|csum|remcsum]`, example: `192.0.2.21->192.0.2.23:80 masq 10 "index.html", "OK" l:500 u:1000`,
			about: "A real server, or a range of them. Without a port it has the port of the service; only masq can change the port. The weight is 1 when left out. The quoted pair replaces request and receive for this server. A request that is a whole URL also replaces the address and the port that the check uses. At u: connections, the kernel gives the server no new ones until it has fewer than l:. gue and gre are tunnels as ipip (Linux 5.2 and 5.3); port: is the UDP port of gue, 6080 when left out, and csum and remcsum add a checksum (remcsum only for gue). A tunnel can also go to a server of the other address family, unless a synchronisation daemon runs. tier:N puts the server into a tier from 0 to 15, see tier_minimum. ldirectord has only gate, masq and ipip, and no tiers."},
		{name: "real6", where: inBlock, class: address, set: setReal(true), many: true, six: true,
			values: `as real, with [IPV6-ADDRESS]`, example: "[2001:db8::21]:80 masq",
			about: "A real server of an IPv6 service. Host names of IPv6 real servers need real6. For addresses in brackets, real does the same."},
		{name: "fallback", short: "Server of last resort", where: inBoth, class: address, set: setFallback(false),
			values: "ADDRESS[:PORT] [gate|masq|ipip|gue|gre]", example: "127.0.0.1:80 gate",
			about: "The server that gets the connections while no real server is up. The daemon never checks it. Its weight is 1, or with mh-fallback the largest weight of the real servers. Without a port it has the port of the service. The forwarding method is gate when left out."},
		{name: "fallback6", where: inBoth, class: address, set: setFallback(true), six: true,
			values: "[IPV6-ADDRESS][:PORT] [gate|masq|ipip|gue|gre]", example: "[::1]:80 gate",
			about: "The fallback of an IPv6 service. The directive fallback describes the value; the address is an IPv6 address."},
		{name: "fallbackcommand", where: inBoth, class: freeText, set: setWords(func(s *scope) *[]string { return &s.fallbackCommand }),
			values: "PROGRAM [ARGUMENT ...]", example: "/usr/local/sbin/sorry --quiet",
			about: "Program that the daemon runs when the last real server of a service goes down, with the added arguments start ADDRESS:PORT PROTOCOL. When the first real server is up again, it runs the program with stop instead of start. It also runs the program once after its first checks. For a firewall mark, ADDRESS:PORT is :0 and PROTOCOL is fwm, or fwm6 for IPv6. The program runs without a shell, and only once at a time for a service."},
	}
}

func ofTimes() []directive {
	return []directive{
		{name: "checktimeout", short: "Time limit of a check", where: inBoth, class: plain, set: setTime(func(s *scope) *time.Duration { return &s.checkTimeout }),
			values: "seconds, or milliseconds as 500ms", unset: "negotiatetimeout if it is set, else 5", example: "3",
			about: "Time limit of a check. Without it, negotiatetimeout counts. For negotiate checks, negotiatetimeout takes precedence, except that a checktimeout in the block overrides a negotiatetimeout for all services. With checktype=NUMBER, checktimeout limits the connect checks."},
		{name: "negotiatetimeout", where: inBoth, class: plain, set: setTime(func(s *scope) *time.Duration { return &s.negotiateTimeout }),
			values: "seconds, or milliseconds as 500ms", unset: "checktimeout if it is set, else 30", example: "5", about: "Time limit of a negotiate check, from connecting to the last byte."},
		{name: "checkinterval", short: "Time between checks", where: inBoth, class: plain, set: setTime(func(s *scope) *time.Duration { return &s.interval }),
			values: "seconds, or milliseconds as 500ms", unset: "10", example: "2", about: "Time between two checks of a real server. Checks run in parallel."},
		{name: "checkcount", short: "Attempts of a ping check", where: inBoth, class: plain, set: setCount("attempts", func(s *scope) *int { return &s.attempts }),
			values: "number", unset: "1", example: "3", about: "How many echo requests a ping check sends at most. Each one has the whole time limit, and one reply is enough."},
		{name: "failurecount", where: inBoth, class: plain, set: setCount("failures", func(s *scope) *int { return &s.fall }),
			values: "number", unset: "1", example: "2", about: "How many checks in a row must fail until a real server counts as down. After one good check it counts as up again, unless rise is set."},
		{name: "quiescent", short: "Whether failed real servers stay with weight 0", where: inBoth, class: yesOrNo, set: setChoice(func(s *scope) **bool { return &s.quiescent }),
			values: "yes or no", unset: "no", example: "yes",
			about: "Whether a real server that is down stays in the kernel. With yes it stays with weight 0, so that open connections continue. With no the daemon removes it. With sh-fallback or mh-fallback it always stays, so that every director has the same hash table. (With sh-fallback and more than 256 real servers and fallbacks, the value no still removes it.) It does not apply to the fallback."},
		{name: "readdquiescent", where: inFile, class: yesOrNo, set: setReadd,
			values: "yes or no", unset: "yes", example: "yes",
			about: "Accepted, but the value no has no effect. A new real server gets no traffic before its first good check. With quiescent=yes, a real server that is down has an entry of weight 0. (With ldirectord's own default, every server serves for a moment before its first check.)"},
	}
}

func ofDaemon() []directive {
	return []directive{
		{name: "autoreload", where: inFile, class: yesOrNo, set: setYesNo(func(s *scope) *bool { return &s.config.AutoReload }),
			values: "yes or no", unset: "no", example: "yes", about: "Whether the daemon reads this file again after it has changed. If the file has errors, the daemon logs them and keeps its running configuration."},
		{name: "callback", where: inFile, class: quotedText, set: setText(func(s *scope) *string { return &s.config.Callback }),
			values: `"PROGRAM"`, example: "/usr/local/sbin/sync-config", about: "Program that the daemon runs after this file has changed. Its argument is the name of the file. It runs without a shell."},
		{name: "execute", where: inFile, class: freeText, set: addExecute, many: true,
			values: "configuration", example: "other.cf", about: "Another configuration file. Start, stop and reload of this daemon also start, stop and reload the daemon of that file."},
		{name: "logfile", where: inFile, class: quotedText, set: setLogFile,
			values: `"PATH" or "FACILITY"`, unset: `"/var/log/ldirectord.log"`, example: "local0", about: "The file or syslog facility for the log of the daemon. The daemon opens the file for every line, so another program can rotate it at any time."},
		{name: "supervised", where: inFile, class: yesOrNo, set: setYesNo(func(s *scope) *bool { return &s.config.Supervised }),
			values: "yes or no, or the word supervised alone", unset: "no", example: "yes", about: "Whether the daemon stays in the foreground and logs to standard output."},
		{name: "fork", where: inFile, class: yesOrNo, set: setYesNo(func(*scope) *bool { return new(bool) }),
			values: "yes or no", unset: "no", example: "no", about: "Accepted without effect: one process of the daemon always checks all services in parallel."},
		{name: "cleanstop", where: inBoth, class: yesOrNo, set: setChoice(func(s *scope) **bool { return &s.cleanStop }),
			values: "yes or no", unset: "yes", example: "no", about: "Whether a stop of the daemon removes the service from the kernel. With no the service stays in the kernel, and the next daemon adopts it."},
		{name: "maintenancedir", where: inFile, class: freeText, set: setText(func(s *scope) *string { return &s.config.MaintenanceDir }),
			values: "directory", example: "/etc/ha.d/maintenance", about: "Directory for files that drain real servers. While the directory has a file named ADDRESS:PORT, ADDRESS, NAME:PORT or NAME, that real server gets no new connections, even if its checks are good. NAME is the host name of the server, either complete or only its first label."},
	}
}

func ofService() []directive {
	return []directive{
		{name: "scheduler", where: inBlock, class: plain, set: setScheduler,
			values: "rr wrr lc wlc lblc lblcr dh sh sed nq fo ovf mh twos", unset: "wrr", example: "wlc", about: "How the kernel chooses a real server for a new connection."},
		{name: "schedflags", where: inBlock, class: plain, set: setSchedulerFlags,
			values: "sh-fallback sh-port mh-fallback mh-port flag-1 flag-2 flag-3, joined by commas", unset: "sh-fallback with sh, mh-fallback with mh", example: "sh-port",
			about: "Flags of the scheduler (ipvsadm -b). With sh-fallback or mh-fallback, the kernel sends a client whose real server has weight 0 to another real server. Without this flag, the kernel refuses the client. With sh-port or mh-port, the port of the client also counts. ldirectord sets no flag on its own."},
		{name: "persistent", where: inBlock, class: plain, set: setPersistent,
			values: "seconds", unset: "no persistence", example: "600", about: "How long a client stays with its real server. Port 0, which means every port, needs it."},
		{name: "netmask", where: inBlock, class: plain, set: setText(func(s *scope) *string { return &s.block.netmask }),
			values: "dotted netmask, for IPv6 a prefix length", unset: "single clients", example: "255.255.255.0\n\tpersistent=600", about: "All clients of one network of this size count as one client of a persistent service."},
		{name: "protocol", where: inBlock, class: plain, set: setText(func(s *scope) *string { return &s.block.protocol }),
			values: "tcp udp sctp, for a firewall mark fwm", unset: "tcp; udp for port 53; fwm for a firewall mark", example: "tcp", about: "Protocol of the virtual service."},
		{name: "ops", where: inBlock, class: yesOrNo, set: setYesNo(func(s *scope) *bool { return &s.block.onePacket }),
			values: "yes or no", unset: "no", example: "yes\n\tprotocol=udp", about: "One-packet scheduling: the kernel schedules every UDP packet separately. It has no effect for tcp and sctp. ldirectord ignores it for a firewall mark."},
	}
}

func ofChecks() []directive {
	check := func(field func(*config.Check) *string) setter {
		return setText(func(s *scope) *string { return field(&s.block.check) })
	}
	secret := func(field func(*config.Check) *config.Secret) setter {
		return setSecret(func(s *scope) *config.Secret { return field(&s.block.check) })
	}
	return []directive{
		{name: "checktype", short: "Type of the check", where: inBlock, class: plain, set: setCheckType,
			values: "negotiate connect ping udp external external-perl on off, or a number", unset: "negotiate", example: "connect",
			about: "How real servers are checked. negotiate sends a query in the protocol of the service and judges the reply. connect opens a TCP connection, or pings for a UDP service. ping sends an ICMP echo. udp sends request in a datagram; the server is down if its port is closed, or if receive is set and no reply matches (ldirectord does not check this). external runs checkcommand; external-perl runs it with perl. With on, real servers are always up; with off, they are never up. A number N means one negotiate check, then N connect checks."},
		{name: "service", short: "Protocol of a negotiate check", where: inBlock, class: plain, set: setService,
			values: "dns ftp http https http_proxy imap imaps ldap ldaps mysql nntp none oracle pgsql pop pops radius simpletcp sip smtp submission",
			unset:  "by the port of the virtual service, else none", example: "http", about: "Protocol of a negotiate check. With none, real servers are not checked and always count as up."},
		{name: "checkport", short: "Port that is checked", where: inBlock, class: plain, set: setCheckPort,
			values: "1 to 65535", unset: "the real server's port, else the usual port of the service", example: "8080", about: "The port of the real server that checks use."},
		{name: "checkcommand", short: "Program of external checks", where: inBlock, class: freeText, set: check(func(c *config.Check) *string { return &c.Command }),
			values: "PROGRAM [ARGUMENT ...]", unset: "/bin/true", example: "/usr/local/sbin/check-web\n\tchecktype=external", about: "The program of external checks, and its arguments. The daemon adds four arguments. The first two are the address (or firewall mark) and the port (0 for a mark) of the virtual service. The other two are the address and the port of the real server. Exit status 0 means up. Another status, a signal or a time-out means down."},
		{name: "request", short: "Request of a check", where: inBlock, class: quotedText, set: check(func(c *config.Check) *string { return &c.Request }),
			values: `"TEXT"`, unset: `"/" for http and https, nothing for other protocols`, example: ".health.html", about: "What a negotiate check requests from the server: a page, a name or a database query."},
		{name: "receive", short: "Expected reply", where: inBlock, class: quotedText, set: setReceive,
			values: `"REGULAR EXPRESSION"`, unset: "any reply", example: "^OK", about: "Regular expression, as in Perl, that the reply must match."},
		{name: "httpmethod", short: "HTTP method", where: inBlock, class: plain, set: setMethod,
			values: "GET or HEAD", unset: "GET", example: "HEAD", about: "The method of an HTTP request. The reply to HEAD has no body, so receive must then match an empty text."},
		{name: "virtualhost", short: "Host header", where: inBlock, class: bareText, set: check(func(c *config.Check) *string { return &c.VirtualHost }),
			values: "NAME", unset: "the real server's address", example: "www.example.org", about: "The Host header of an HTTP request, and the name of the server in TLS."},
		{name: "login", where: inBlock, class: quotedText, set: secret(func(c *config.Check) *config.Secret { return &c.Login }),
			values: `"NAME"`, example: "checker", with: "service=ldap", about: "The user name of a negotiate check that logs in to the server."},
		{name: "passwd", where: inBlock, class: quotedText, set: secret(func(c *config.Check) *config.Secret { return &c.Passwd }),
			values: `"PASSWORD"`, example: "example", with: "service=ldap", about: "The password of login. It appears in no log and no message."},
		{name: "secret", where: inBlock, class: quotedText, set: secret(func(c *config.Check) *config.Secret { return &c.Secret }),
			values: `"SECRET"`, example: "example", about: "The secret that the RADIUS server shares with the check."},
		{name: "database", where: inBlock, class: quotedText, set: check(func(c *config.Check) *string { return &c.Database }),
			values: `"NAME"`, example: "portal", about: "The database of a MySQL, PostgreSQL or Oracle check."},
		{name: "load", where: inBlock, class: quotedText, set: warnUnused,
			values: `"TEXT"`, example: "x", about: "Accepted and without effect, as in ldirectord."},
		{name: "monitorfile", where: inBlock, class: freeText, set: setText(func(s *scope) *string { return &s.block.rest.MonitorFile }),
			values: "PATH", example: "/var/log/ldirectord-monitor", about: "File for a line about every check: date, process ID, check and real server, [up] or [down], and the reason."},
	}
}

func ofMail() []directive {
	return []directive{
		{name: "emailalert", where: inBoth, class: freeText, set: setAddresses,
			values: "ADDRESS[, ADDRESS ...], each USER, USER@HOST or NAME <USER@HOST>", unset: "no mail", example: "admin@example.org", about: "The addresses that get mail from the daemon when the state of a real server or fallback changes. The daemon sends mail in the background, so a mail server that hangs delays no check."},
		{name: "emailalertfreq", where: inBoth, class: plain, set: setRepeat,
			values: "seconds", unset: "0", example: "3600", about: "Time between reminders about a real server that stays down. With 0 there are no reminders."},
		{name: "emailalertstatus", where: inBoth, class: freeText, set: setPhases,
			values: "all, none, or of starting, running, stopping and reloading, joined by commas", unset: "all", example: "running,stopping", about: "The daemon sends mail only while the daemon itself is in one of these states."},
		{name: "emailalertfrom", where: inFile, class: freeText, set: setSender,
			values: "ADDRESS", unset: "the daemon's user at this host", example: "lvs@example.org", about: "The sender address of the daemon's mail."},
		{name: "smtp", where: inBoth, class: plain, set: setRelay,
			values: "HOST[:PORT] or [IPv6 address][:PORT]", unset: "the local mailer, sendmail", example: "mail.example.org", about: "The mail server. The daemon encrypts mail if the server offers STARTTLS and the handshake succeeds, and sends it in clear text otherwise."},
		{name: "servicename", where: inBlock, class: freeText, set: setText(func(s *scope) *string { return &s.alert.Title }),
			values: "text", example: "web shop", about: "Text that the daemon adds, in brackets, before the subject of mail about this service."},
		{name: "comment", where: inBlock, class: freeText, set: setText(func(s *scope) *string { return &s.alert.Comment }),
			values: "text", example: "call the web team", about: "Text that the daemon adds to the body of mail about this service."},
	}
}

// refused returns directives of old versions. A file with one of them is refused.
func refused() []directive {
	const fix = "write checktimeout= or negotiatetimeout="
	return []directive{
		{name: "timeout", where: inFile, class: verbatim, set: refuse("timeout is not a directive any more", fix),
			values: "seconds", example: "3", about: "A file with this directive is refused. It is an old name of checktimeout and negotiatetimeout."},
		{name: "connecttimeout", where: inFile, class: verbatim, set: refuse("connecttimeout is not a directive any more", fix),
			values: "seconds", example: "3", about: "A file with this directive is refused. It is an old name of checktimeout and negotiatetimeout."},
	}
}

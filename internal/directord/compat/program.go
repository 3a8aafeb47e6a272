package compat

import "lvs-agents/internal/manual"

// Program is the command line: usage, manual page and completion are rendered from
// it, and ParseCommand looks up long options in it.
var Program = manual.Program{
	Name:     "directord",
	Short:    "Checks real servers and lets only good ones have new connections",
	Synopsis: []string{"[-dft] [CONFIG] {start|stop|restart|try-restart|reload|force-reload|status}"},
	Long:     "CONFIG is looked up in /etc/ha.d and is ldirectord.cf when left out.",
	Options: []manual.Option{
		{Short: "d", Long: "debug", Text: "stay in the foreground and log everything to stderr"},
		{Short: "f", Long: "foreground", Text: "stay in the foreground; tells systemd when it is ready"},
		{Short: "t", Long: "test", Text: "only read CONFIG and print what is wrong with it"},
		{Short: "v", Long: "version", Text: "print the version"},
		{Short: "h", Long: "help", Text: "print this"},
	},
	Commands: []manual.Command{
		{Name: "start", Text: "Starts the daemon. Returns when it has checked every real server, or after some seconds."},
		{Name: "stop", Text: "Ends the daemon and takes its services out of the kernel, but for those with cleanstop=no."},
		{Name: "restart", Text: "Stops, then starts. A configuration with errors is refused before anything is stopped."},
		{Name: "try-restart", Text: "Restarts if the daemon runs."},
		{Name: "reload", Text: "Makes the daemon read its configuration again. One with errors is refused, and the one before stays."},
		{Name: "force-reload", Text: "The same as reload."},
		{Name: "status", Text: "Tells whether the daemon runs; lvsctl status tells what it has found."},
	},
	Operands: configurations,
	Exit: [][2]string{
		{"0", "success; for status: the daemon runs"},
		{"1", "the action failed; for status: a daemon was killed"},
		{"2", "the configuration has errors"},
		{"3", "for status: stopped"},
		{"255", "no or unknown action or option"},
	},
	Sections: []manual.Section{
		{Title: "as ldirectord", Text: "Called ldirectord it is the same program: the command line, the exit codes, the lines of the log and the pid file are those of the Perl program. " +
			"The package lvs-agents-ldirectord installs that name."},
		{Title: "signals", Items: [][2]string{
			{"HUP", "reads the configuration again"},
			{"INT, TERM, QUIT", "end the daemon as stop does"},
		}},
		{Title: "under systemd", Text: "directord@NAME.service runs it with NAME.cf and ldirectord.service with ldirectord.cf. Neither is enabled by a package: in a cluster the resource agent ocf:lvs:health runs directord. " +
			"Upgrading or removing a package stops no daemon; restart it yourself when it suits.\n\n" +
			"The units leave it CAP_NET_ADMIN, CAP_NET_RAW and CAP_DAC_OVERRIDE, and let it write below /run, /var/log and /var/spool only. Programs that a configuration names (external checks, fallbackcommand, callback, mailers) " +
			"are run within the same limits. Those that need more get it by systemctl edit, with a line such as ReadWritePaths=/srv or CapabilityBoundingSet=CAP_SYS_ADMIN below [Service], which add to what is there; " +
			"a monitorfile or logfile elsewhere needs ReadWritePaths, too. Mail through Postfix works; mailers that change their user (Exim) need more, and smtp= needs no program."},
	},
	Files: [][2]string{
		{"/etc/ha.d/ldirectord.cf", "the configuration, see ldirectord.cf(5)"},
		{"/var/log/ldirectord.log", "the log, unless logfile= says otherwise"},
		{"/run/ldirectord.INSTANCE.pid", "the pid file of ldirectord"},
		{"/run/lvs-agents", "state; it counts for one boot"},
	},
	Also:   []string{"ldirectord.cf(5)", "lvsctl(8)", "ipvsadm(8)", "ocf_lvs_health(7)"},
	Source: "internal/directord/compat/program.go",
}

// configurations completes files here, and names in /etc/ha.d.
const configurations = manual.Files + `; (cd /etc/ha.d 2>/dev/null && compgen -G "$word*.cf")`

// short is the letter of a long option; empty for an unknown one.
func short(long string) string {
	for _, o := range Program.Options {
		if o.Long == long {
			return o.Short
		}
	}
	return ""
}

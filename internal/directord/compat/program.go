package compat

import "lvs-agents/internal/manual"

// Program describes the command line. The usage, the manual page and the completion are generated
// from it. ParseCommand looks up long options in it.
var Program = manual.Program{
	Name:     "directord",
	Short:    "Checks real servers and lets only good ones have new connections",
	Synopsis: []string{"[-dft] [CONFIG] {start|stop|restart|try-restart|reload|force-reload|status}"},
	Long:     "CONFIG is an absolute path, or a name in /etc/ha.d, in /etc/ha.d/conf or in the current directory. Without CONFIG, the name is ldirectord.cf.",
	Options: []manual.Option{
		{Short: "d", Long: "debug", Text: "stay in the foreground and log everything to stderr"},
		{Short: "f", Long: "foreground", Text: "stay in the foreground, and notify systemd when the daemon is ready"},
		{Short: "t", Long: "test", Text: "only read CONFIG and print its errors and warnings"},
		{Short: "v", Long: "version", Text: "print the version"},
		{Short: "h", Long: "help", Text: "print this help"},
	},
	Commands: []manual.Command{
		{Name: "start", Text: "Starts the daemon. Returns when the kernel has the virtual services. The first checks of the real servers can end later."},
		{Name: "stop", Text: "Ends the daemon and removes its services from the kernel, except services with cleanstop=no."},
		{Name: "restart", Text: "Stops the daemon, then starts it. If the configuration has errors, restart fails and stops nothing."},
		{Name: "try-restart", Text: "Restarts the daemon if it runs."},
		{Name: "reload", Text: "Makes the daemon read its configuration again. If the configuration has errors, the daemon keeps the old one."},
		{Name: "force-reload", Text: "The same as reload."},
		{Name: "status", Text: "Reports whether the daemon runs. lvsctl status shows the verdicts of the daemon."},
	},
	// A configuration is a file in the current directory, or a name in /etc/ha.d.
	Operands: manual.Operands{Files: true, Dir: "/etc/ha.d", Ending: ".cf"},
	Exit: [][2]string{
		{"0", "success; for status: the daemon runs"},
		{"1", "the action failed; for status: a daemon was killed, or a daemon does not balance, or CONFIG does not exist"},
		{"2", "the configuration has errors"},
		{"3", "for status: stopped"},
		{"255", "no or unknown action or option"},
	},
	Sections: []manual.Section{
		{Title: "as ldirectord", Text: "The program does the same under the name ldirectord. It has the command line, the exit codes, the log lines and the pid file of the Perl program ldirectord. " +
			"The package lvs-agents-ldirectord installs that name."},
		{Title: "signals", Items: [][2]string{
			{"HUP", "The daemon reads the configuration again."},
			{"INT, TERM, QUIT", "The daemon ends, as with stop."},
		}},
		{Title: "under systemd", Text: "directord@NAME.service runs directord with NAME.cf, and ldirectord.service runs it with ldirectord.cf. The packages do not enable these units: in a cluster the resource agent ocf:lvs:health runs directord. " +
			"Upgrading or removing a package does not stop a daemon; restart the daemon after an upgrade.\n\n" +
			"With these units, directord has only CAP_NET_ADMIN, CAP_NET_RAW and CAP_DAC_OVERRIDE, and can write only below /run, /var/log, /var/spool and its own /tmp and /var/tmp. The same limits hold for the programs that a configuration names: external checks, fallbackcommand, callback, mailers. " +
			"To extend the limits, use systemctl edit and write a line such as ReadWritePaths=/srv or CapabilityBoundingSet=CAP_SYS_ADMIN below [Service]. " +
			"A monitorfile or logfile in another directory needs ReadWritePaths, too. Mail through Postfix works. Mailers that change their user (Exim) need more capabilities; smtp= needs no mailer."},
	},
	Files: [][2]string{
		{"/etc/ha.d/ldirectord.cf", "the configuration, see ldirectord.cf(5)"},
		{"/var/log/ldirectord.log", "the log, unless logfile= names another"},
		{"/run/ldirectord.INSTANCE.pid", "the pid file of ldirectord"},
		{"/run/lvs-agents", "state, valid until the next boot"},
	},
	Also:   []string{"ldirectord.cf(5)", "lvsctl(8)", "ipvsadm(8)", "ocf_lvs_health(7)"},
	Source: "internal/directord/compat/program.go",
}

// short returns the letter of a long option. It returns an empty text if the option is unknown.
func short(long string) string {
	for _, o := range Program.Options {
		if o.Long == long {
			return o.Short
		}
	}
	return ""
}

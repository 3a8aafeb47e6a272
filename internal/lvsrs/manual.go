package lvsrs

import "lvs-agents/internal/manual"

// program is the command line of lvsrs: usage, manual page and completion are
// rendered from it.
var program = manual.Program{
	Name:     "lvsrs",
	Short:    "Makes this host a real server of LVS",
	Synopsis: []string{"start|stop|status [NAME...]"},
	Long: "What that is says " + Dir + "/NAME.conf; without NAME it is what all files there say.\n" +
		"A file has lines like ip=192.0.2.10; the names are the parameters of ocf:lvs:realserver (man 7 ocf_lvs_realserver).",
	Commands: []manual.Command{
		{Name: "start", Text: "Sets up the addresses, and what keeps this host from answering ARP for them. What was there is noted."},
		{Name: "stop", Text: "Puts back what start found. Needs no file."},
		{Name: "status", Text: "Tells whether everything is there."},
	},
	Operands: manual.Names(Dir, ".conf"),
	Sections: []manual.Section{{Title: "under systemd", Text: "systemctl enable --now lvsrs@NAME does it at every boot. Upgrading or removing the package stops nothing. " +
		"The unit leaves it CAP_NET_ADMIN and CAP_NET_RAW; arptables-legacy (method=arptables) cannot load its kernel modules then, so name arptable_filter and arpt_mangle in /etc/modules-load.d."}},
	Exit: [][2]string{
		{"0", "success; for status: running"},
		{"1", "an action failed; for status: only a part is there"},
		{"2", "wrong call"},
		{"3", "for status: stopped"},
	},
	Files: [][2]string{
		{Dir + "/NAME.conf", "lines name=value"},
		{"/run/lvs-agents", "what start found; it counts for one boot"},
	},
	Also:   []string{"ocf_lvs_realserver(7)", "lvsctl(8)"},
	Source: "internal/lvsrs/manual.go",
}

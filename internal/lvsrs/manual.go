package lvsrs

import "lvs-agents/internal/manual"

// operands are the names of the files in Dir.
var operands = manual.Operands{Dir: Dir, Ending: ".conf", Bare: true}

// program describes the command line of lvsrs. The usage, the manual page and the completion are
// generated from it.
var program = manual.Program{
	Name:     "lvsrs",
	Short:    "Makes this host a real server of LVS",
	Synopsis: []string{"start|stop|status [NAME...]"},
	Long: "The settings come from " + Dir + "/NAME.conf. Without NAME, every file in that directory is used.\n" +
		"A file has lines like ip=192.0.2.10. The names are the parameters of ocf:lvs:realserver (man 7 ocf_lvs_realserver).",
	Commands: []manual.Command{
		{Name: "start", Operands: operands, Text: "Adds the addresses, and makes settings so that this host does not reply to ARP requests for them. With forward=masq, adds the default route instead. Writes the values found to a file."},
		{Name: "stop", Operands: operands, Text: "Restores the values that start found. Works without the file of the real server."},
		{Name: "status", Operands: operands, Text: "Reports whether all addresses and settings are in place."},
	},
	Sections: []manual.Section{{Title: "under systemd", Text: "systemctl enable --now lvsrs@NAME starts the real server now and at every boot. An upgrade or removal of the package does not stop a real server. " +
		"The unit gives lvsrs only CAP_NET_ADMIN and CAP_NET_RAW. With them, arptables-legacy (method=arptables) cannot load its kernel modules; list arptable_filter and arpt_mangle in /etc/modules-load.d."}},
	Exit: [][2]string{
		{"0", "success; for status: running"},
		{"1", "an action failed; for status: only a part is in place"},
		{"2", "wrong arguments, or parameters that are not valid on this host"},
		{"3", "for status: stopped"},
		{"4", "the program may not change this host"},
		{"5", "this host lacks a program, an interface or a part of the kernel"},
		{"6", "wrong parameters"},
	},
	Files: [][2]string{
		{Dir + "/NAME.conf", "lines name=value"},
		{"/run/lvs-agents", "the values that start found; valid until the next boot"},
	},
	Also:   []string{"ocf_lvs_realserver(7)", "lvsctl(8)"},
	Source: "internal/lvsrs/manual.go",
}

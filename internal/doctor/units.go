package doctor

import "strings"

// Fighters returns the units of systemd that change the virtual addresses or the kernel's table
// without the cluster.
func Fighters() []string {
	return []string{"ipvsadm.service", "ldirectord.service", "keepalived.service", "pulse.service", "heartbeat.service"}
}

// ExamineUnits returns the units that work against a Pacemaker cluster. text is the output of
// systemctl show --property=Id,ActiveState,UnitFileState for the units of Fighters.
func ExamineUnits(text string) []Finding {
	var findings []Finding
	for block := range strings.SplitSeq(text, "\n\n") {
		unit := map[string]string{}
		for line := range strings.Lines(block) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
			unit[name] = value
		}
		why := ""
		switch {
		case unit["ActiveState"] == "active" || unit["ActiveState"] == "activating":
			why = unit["Id"] + " runs, and the cluster does not control it"
		case strings.HasPrefix(unit["UnitFileState"], "enabled"):
			why = unit["Id"] + " is enabled and starts at the next boot"
		default:
			continue
		}
		findings = append(findings, Finding{"two programs change the virtual services or addresses of this director", why,
			"systemctl disable --now " + unit["Id"]})
	}
	return findings
}

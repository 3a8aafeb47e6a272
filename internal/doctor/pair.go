package doctor

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"lvs-agents/internal/lvs"
)

// ExamineHashTables returns a finding for each other director whose hash tables differ from the
// tables of this director. own and the values of others are texts of lvs.Table.HashTables; the keys
// are names of nodes. An empty text says nothing: that director may not have finished its checks.
func ExamineHashTables(own string, others map[string]string) []Finding {
	var findings []Finding
	if own == "" {
		return nil
	}
	for _, node := range slices.Sorted(maps.Keys(others)) {
		if others[node] == "" {
			continue
		}
		for _, id := range lvs.UnequalHashTables(own, others[node]) {
			findings = append(findings, Finding{
				What: fmt.Sprintf("a take-over from or by node %s breaks connections of virtual service %s", node, id),
				Why:  "the service or its real servers differ between the two directors, so they choose different real servers for the same client",
				Fix:  "give both directors the same configuration, then compare lvsctl status on both",
			})
		}
	}
	return findings
}

// Reading is a configuration file as a health daemon or a resource has read it.
type Reading struct {
	Who  string // For example: resource web-ipvs
	Path string
	// Read is a digest of the text that was read, and Now a digest of the text in the file. Now is
	// empty if the file does not exist.
	Read, Now string
	// Refused is why Who refused the last text that it read. It is empty if Who accepted the text.
	Refused string
	Reload  string // Reload is the command that makes Who read the file again.
}

// ExamineReadings returns a finding for each configuration file that has changed since it was read.
func ExamineReadings(readings []Reading) (findings []Finding) {
	for _, r := range readings {
		switch {
		case r.Now == "":
			findings = append(findings, Finding{
				"the next start or reload of " + r.Who + " fails on this node", r.Path + " does not exist any more", "copy the file from another director",
			})
		case r.Refused != "":
			findings = append(findings, Finding{
				r.Who + " has refused " + r.Path + " and uses the earlier configuration", strings.ReplaceAll(r.Refused, "\n", "; "),
				"correct the file, then lvsctl check " + r.Path + " && " + r.Reload,
			})
		case r.Now != r.Read:
			findings = append(findings, Finding{
				r.Who + " does not use the last changes of " + r.Path, "the file has changed since it was read, and no reload has happened",
				"lvsctl check " + r.Path + " && " + r.Reload,
			})
		}
	}
	return findings
}

// ExamineSetups returns a finding for each other director with another version of lvs-agents, or
// with another configuration file of the health daemon. path is the file. setups has the values of
// the node attribute of attribute.Setup, by the names of the nodes: a version, and a digest of the
// file. For a director without a daemon, the caller adds the value that a daemon would publish.
func ExamineSetups(own, path string, setups map[string]string) (findings []Finding) {
	version, digest, _ := strings.Cut(setups[own], " ")
	if version == "" {
		return nil
	}
	for _, node := range slices.Sorted(maps.Keys(setups)) {
		otherVersion, otherDigest, _ := strings.Cut(setups[node], " ")
		if otherVersion == "" {
			continue
		}
		if otherVersion != version {
			findings = append(findings, Finding{
				"nodes " + own + " and " + node + " can act differently", fmt.Sprintf("lvs-agents has version %s on %s, and %s on %s", version, own, otherVersion, node),
				"install the same version of lvs-agents on both, then restart the health resource",
			})
		}
		if otherDigest != digest {
			findings = append(findings, Finding{
				"a take-over from or by node " + node + " changes the services", "the configuration files of the health daemons differ on " + own + " and " + node,
				"copy the right " + path + " to the other node",
			})
		}
	}
	return findings
}

package doctor

import (
	"fmt"
	"slices"

	"lvs-agents/internal/host"
)

// ExpireNodest is the sysctl that makes the kernel end the connections of real servers that have
// left the table.
var ExpireNodest = host.Setting{Kind: host.Sysctl, Name: "net/ipv4/vs/expire_nodest_conn"}

// Ending is a service whose health daemon ends the connections of failed real servers.
type Ending struct {
	Service string // Service is in ipvsadm syntax.
	Value   string // Value is the value of on_marked_down, expire or reset.
	// Resource is the ipvs resource that has the service as parameters. It is empty for a service in
	// a file.
	Resource string
}

// ExamineMarkedDown returns a finding if the kernel does not let the connections of failed real
// servers end. expire is the value of ExpireNodest. It is empty if the kernel does not have the
// sysctl.
func ExamineMarkedDown(expire string, ending []Ending) []Finding {
	if expire != "0" || len(ending) == 0 {
		return nil
	}
	services := ending[0].Service
	if len(ending) > 1 {
		services = fmt.Sprintf("%d services, for example %s,", len(ending), services)
	}
	f := Finding{
		What: "clients of a failed real server of " + services + " get no answer and no error",
		Why:  fmt.Sprintf("on_marked_down is %s, and %s is 0", ending[0].Value, ExpireNodest.Dotted()),
		Fix:  ExpireNodest.Command("1"),
	}
	var resources []string
	for _, e := range ending {
		if e.Resource != "" && !slices.Contains(resources, e.Resource) {
			resources = append(resources, e.Resource)
			f.Fix += fmt.Sprintf("; crm_resource --resource=%s --set-parameter=expire_nodest_conn --parameter-value=yes", e.Resource)
		}
	}
	return []Finding{f}
}

package doctor

import (
	"fmt"

	"lvs-agents/internal/lvs"
)

// mostStrangers is how many services without an owner are named, each in a hint.
const mostStrangers = 3

// ExamineStrangers returns hints for the services of the kernel that no resource and no health
// daemon of this host owns. owned are the services in their records. A service without an owner is
// not a fault: another program can need it.
func ExamineStrangers(table lvs.Table, owned lvs.Scope) (hints []Finding) {
	more := 0
	for _, v := range table {
		switch {
		case owned[v.ID]:
		case len(hints) == mostStrangers:
			more++
		default:
			hints = append(hints, Finding{
				What: fmt.Sprintf("the kernel balances %s, and nothing checks or moves this service", v.ID),
				Why:  "no resource and no health daemon of this node owns it",
				Fix:  fmt.Sprintf("if no other program needs it: ipvsadm -D %s", v.ID),
			})
		}
	}
	if more > 0 {
		last := &hints[len(hints)-1]
		last.Fix += fmt.Sprintf(" (%d more such services: ipvsadm -Ln)", more)
	}
	return hints
}

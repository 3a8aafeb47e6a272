// Package wire examines a real server with packets.
package wire

import (
	"context"

	"lvs-agents/internal/doctor"
	"lvs-agents/internal/lvs"
)

// Examiner examines this host.
type Examiner struct{}

// Examine returns what is wrong.
func (Examiner) Examine(context.Context, []lvs.Setting) ([]doctor.Finding, error) {
	return nil, nil
}

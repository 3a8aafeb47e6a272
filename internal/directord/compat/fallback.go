package compat

import (
	"slices"

	"lvs-agents/internal/health"
)

// FallbackCommand returns the fallback command of a service with its arguments: the state, the
// address and the protocol. The state is stop while real servers serve, and start otherwise.
func FallbackCommand(s health.Service, serving bool) []string {
	state, address, protocol := "start", ":0", "fwm"
	if serving {
		state = "stop"
	}
	if s.ID.IsMark() && s.ID.IPv6 {
		protocol = "fwm6"
	}
	if !s.ID.IsMark() {
		address, protocol = s.ID.Addr.String(), s.ID.Protocol.String()
	}
	return append(slices.Clone(s.FallbackCommand), state, address, protocol)
}

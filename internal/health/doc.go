// Package health checks real servers and decides which of them get new connections. It keeps the
// kernel's IPVS table in that state.
//
// The package has four parts. The wheel starts checks. Trackers turn results of checks into
// verdicts. The policy turns verdicts into the wanted table, and changes nothing itself. The
// reconciler is the only part that writes to the kernel. It makes the kernel hold the wanted table.
// The records of package record say which services the reconciler can change.
package health

// Package health decides from checks of real servers which of them get new
// connections, and keeps the kernel's IPVS table that way.
//
// The parts: a wheel starts checks. Trackers turn results into verdicts. A pure policy turns
// verdicts into the wanted table. One reconciler, the only writer, makes the kernel hold that
// table. The records of package record say which services it can change.
package health

// Package health decides from checks of real servers which of them get new
// connections, and keeps the kernel's IPVS table that way.
//
// The parts: a wheel starts checks, trackers turn results into verdicts, a pure
// policy turns verdicts into the table that is wanted, and one reconciler, the
// only writer, makes the kernel hold it. The records of package record say
// which services it may touch.
package health

package doctor

import "golang.org/x/sys/unix"

// ExamineClock returns a hint if no program synchronises the clock of this director. state is the
// result of adjtimex(2). A hint is not a fault: services work with a wrong clock, and a hypervisor
// can correct the clock without the knowledge of the kernel. The clocks of two directors are not
// compared: the age of a node attribute is unknown to its reader, so a time in the attribute cannot
// show that a clock is slow.
func ExamineClock(state int) []Finding {
	if state != unix.TIME_ERROR {
		return nil
	}
	return []Finding{{
		What: "orders and certificates can end at a wrong time, and the logs of the directors do not fit together",
		Why:  "the clock of this director is not synchronised (adjtimex: TIME_ERROR)",
		Fix:  "install and start chrony, or another NTP client",
	}}
}

package config

import (
	"cmp"
	"fmt"
	"math/bits"
	"slices"

	"lvs-agents/internal/config/fault"
	"lvs-agents/internal/lvs"
)

// HashWarnings returns warnings about services whose scheduler hashes.
func (c *Config) HashWarnings() []Problem {
	var found []Problem
	sloppy := c.SloppyTCP != nil
	for _, s := range c.Services {
		if !sloppy && s.continues() {
			sloppy = true // One warning is enough for a file, because sloppy_tcp is a setting of the whole file.
			found = append(found, Problem{
				File: c.File, Line: s.Line, Severity: Warning,
				What: fmt.Sprintf("%s: scheduler %s without sloppy_tcp: a director that takes over breaks open connections (113 of 200 in a test), unless they are synchronised", s.Name(), s.Scheduler),
				Fix:  "set sloppy_tcp=yes, or sloppy_tcp=no if this is intended",
			})
		}
		for _, f := range s.hashFaults() {
			found = append(found, Problem{File: c.File, Line: s.Line, Severity: Warning, What: s.Name() + ": " + f.What, Fix: f.Fix})
		}
	}
	return found
}

// continues reports whether a director that takes over can continue TCP connections of the service
// if the kernel has sloppy_tcp.
func (s Service) continues() bool {
	return s.Scheduler.Fallback() != 0 && (s.ID.IsMark() || s.ID.Protocol == lvs.TCP)
}

func (s Service) hashFaults() []fault.Fault {
	var faults []fault.Fault
	if s.Scheduler.Fallback() != 0 && !s.FallsBack() {
		faults = append(faults, fault.New(
			fmt.Sprintf("scheduler %s without %[1]s-fallback: while a real server has weight 0, the kernel refuses new clients that hash to it", s.Scheduler),
			fmt.Sprintf("add %s-fallback to schedflags", s.Scheduler)))
	}
	heavy := func(r Real) bool { return r.Weight > 1 }
	if s.Scheduler == "sh" && s.FallsBack() && slices.ContainsFunc(s.Reals, heavy) {
		faults = append(faults, fault.New(
			"scheduler sh gives a server with weight 0 one slot: when a real server is down, clients of other real servers move",
			"use weight 1 for all, or mh"))
	}
	if s.Scheduler != "mh" {
		return faults
	}
	if s.Flags&lvs.SchedTwo == 0 && s.Persistence == 0 {
		faults = append(faults, fault.New(
			"scheduler mh without mh-port: all connections of one client address go to one real server, also of the many clients of one NAT address",
			"write schedflags=mh-fallback,mh-port, unless clients must stay with their real server"))
	}
	if r, kept := s.unlike(); kept > 0 {
		faults = append(faults, fault.New(
			fmt.Sprintf("scheduler mh gives real server %s the weight %d, not %d: it keeps the 6 highest bits of weights", cmp.Or(r.Host, r.Addr.String()), kept, r.Weight),
			"use weights from 1 to 63"))
	}
	return faults
}

// unlike returns the first real server whose share of the hash table of mh does not fit its weight.
// It also returns the weight that fits the share, or 0 if there is no such server. The kernel
// divides the weights by their greatest common divisor. Then it shifts them right until the largest
// has 6 bits, but no weight becomes 0 (ip_vs_mh.c, ip_vs_mh_shift_weight, ip_vs_mh_populate).
func (s Service) unlike() (r Real, kept int) {
	divisor, largest := 0, 0
	for _, r := range s.Reals {
		divisor, largest = gcd(divisor, r.Weight), max(largest, r.Weight)
	}
	if divisor == 0 {
		return r, 0
	}
	const kernelBits, tolerance = 6, 20 // A difference of at most a twentieth of the weight gets no warning.
	shift := max(0, bits.Len(uint(largest/divisor))-kernelBits)
	for _, r := range s.Reals {
		if r.Weight == 0 {
			continue
		}
		kept := max(1, r.Weight/divisor>>shift) << shift * divisor
		if tolerance*max(kept-r.Weight, r.Weight-kept) > r.Weight {
			return r, kept
		}
	}
	return r, 0
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

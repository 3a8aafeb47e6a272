package lvs

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
)

// HashTables returns one text about all services of t that have the fallback flag of mh or sh. The
// text has the id and a digest of each service. Two directors with equal texts have equal hash
// tables. They choose the same real server for a client while it is good on both. If no service has
// the flag, the text is empty.
//
// The digest contains the scheduler, its flags, and the addresses and weights of the destinations,
// sorted by address. The weight of a destination is the one that decides its slots: see slots.
// Destinations with Last are used only while all real servers are down, so the digest does not
// contain them.
func (t Table) HashTables() string {
	var texts []string
	for _, v := range t {
		if v.Scheduler.Fallback() == 0 || !v.FallsBack() {
			continue
		}
		digest := fnv.New32a()
		fmt.Fprintf(digest, "%s %#x", v.Scheduler, uint32(v.Flags))
		for _, d := range slices.SortedFunc(slices.Values(v.Destinations), byAddr) {
			if !d.Last {
				fmt.Fprintf(digest, " %s %d", d.Addr, slots(v.Scheduler, d))
			}
		}
		texts = append(texts, fmt.Sprintf("%s %08x", v.ID, digest.Sum32()))
	}
	slices.Sort(texts)
	return strings.Join(texts, hashSeparator)
}

// slots returns the weight that decides the slots of a destination with mh or sh.
func slots(s Scheduler, d Destination) int {
	if s.KeepsSlots() {
		return max(d.Weight, d.HashWeight)
	}
	return max(d.Weight, 1)
}

const hashSeparator = ", "

// UnequalHashTables returns the ids of the services that differ in two texts of HashTables, or that
// only one text has. The ids are sorted.
func UnequalHashTables(one, other string) []string {
	digests := map[string]int{}
	for _, text := range []string{one, other} {
		for _, entry := range strings.Split(text, hashSeparator) {
			if entry != "" {
				digests[entry]++
			}
		}
	}
	var ids []string
	for entry, texts := range digests {
		if texts == 1 {
			ids = append(ids, entry[:max(0, strings.LastIndexByte(entry, ' '))])
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

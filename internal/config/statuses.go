package config

import (
	"strconv"
	"strings"
)

// Statuses is a set of HTTP statuses, one bit each. The zero value is 2xx.
type Statuses [600 / 60]uint64

const leastStatus, mostStatus = 100, 599

// Good reports whether a status is in the set.
func (s Statuses) Good(status int) bool {
	if s == (Statuses{}) {
		return status/100 == 2
	}
	return status >= 0 && status < 600 && s[status/60]&(1<<(status%60)) != 0
}

// Add puts a status from 100 to 599 into the set.
func (s *Statuses) Add(status int) { s[status/60] |= 1 << (status % 60) }

// String returns the set as ranges, for example 200-299,404. It is empty for the zero value.
func (s Statuses) String() string {
	if s == (Statuses{}) {
		return ""
	}
	var ranges []string
	for status := leastStatus; status <= mostStatus; status++ {
		if !s.Good(status) {
			continue
		}
		first := status
		for status < mostStatus && s.Good(status+1) {
			status++
		}
		text := strconv.Itoa(first)
		if first != status {
			text += "-" + strconv.Itoa(status)
		}
		ranges = append(ranges, text)
	}
	return strings.Join(ranges, ",")
}

// Explicit returns the same set with a bit for each status.
func (s Statuses) Explicit() Statuses {
	var all Statuses
	for status := leastStatus; status <= mostStatus; status++ {
		if s.Good(status) {
			all.Add(status)
		}
	}
	return all
}

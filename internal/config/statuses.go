package config

// Statuses is a set of HTTP statuses, one bit each. The zero value is 2xx.
type Statuses [600 / 60]uint64

// Good reports whether a status is in the set.
func (s Statuses) Good(status int) bool {
	if s == (Statuses{}) {
		return status/100 == 2
	}
	return status >= 0 && status < 600 && s[status/60]&(1<<(status%60)) != 0
}

// Add puts a status from 100 to 599 into the set.
func (s *Statuses) Add(status int) { s[status/60] |= 1 << (status % 60) }

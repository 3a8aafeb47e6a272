package config

import (
	"encoding/binary"
	"net/netip"

	"lvs-agents/internal/config/fault"
)

// maxRange limits the number of addresses of a->b. A larger range is probably a typing error.
const maxRange = 4096

// MaxReals limits the real servers of all services of a file.
const MaxReals = 1 << 16

// TooManyReals is the error for a file with more than MaxReals real servers.
func TooManyReals() error {
	return fault.Errorf("write fewer or shorter ranges", "more than %d real servers in all", MaxReals)
}

// Range returns the addresses from first to last, both included.
func Range(first, last netip.Addr) ([]netip.Addr, error) {
	what := first.String() + "->" + last.String()
	switch {
	case first.Is4() != last.Is4():
		return nil, fault.Errorf("", "range %s mixes IPv4 and IPv6", what)
	case last.Less(first):
		return nil, fault.Errorf("write "+last.String()+"->"+first.String(), "range %s is reversed", what)
	case distance(first, last) >= maxRange:
		return nil, fault.Errorf("", "range %s has more than %d addresses", what, maxRange)
	}
	all := []netip.Addr{first}
	for first != last {
		first = first.Next()
		all = append(all, first)
	}
	return all, nil
}

// RangeLen returns the number of addresses that Range returns, or 1 if Range returns an error.
func RangeLen(first, last netip.Addr) int {
	if d := distance(first, last); d < maxRange && first.Is4() == last.Is4() {
		return int(d) + 1
	}
	return 1
}

// distance returns last-first. If last is before first, or very far after it, the result is 1<<63.
func distance(first, last netip.Addr) uint64 {
	a, b := first.As16(), last.As16()
	low := binary.BigEndian.Uint64(b[8:]) - binary.BigEndian.Uint64(a[8:])
	high := binary.BigEndian.Uint64(b[:8]) - binary.BigEndian.Uint64(a[:8])
	switch borrow := binary.BigEndian.Uint64(b[8:]) < binary.BigEndian.Uint64(a[8:]); {
	case borrow && high != 1, !borrow && high != 0:
		return 1 << 63
	}
	return low
}

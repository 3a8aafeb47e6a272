package host

import (
	"net/netip"
	"slices"
)

// Word is an address that a host replied for or announced, and the interface on which it did so.
type Word struct {
	NIC string
	IP  netip.Addr
}

// AddWord appends a word unless the list already has it.
func AddWord(words []Word, w Word) []Word {
	if slices.Contains(words, w) {
		return words
	}
	return append(words, w)
}

// Heard is what a probe received from a host.
type Heard struct {
	Deaf      []Word // interfaces that did not reply even for their own address
	Answered  []Word // addresses that the host replied for
	Announced []Word // addresses that the host used as the sender of ARP requests
}

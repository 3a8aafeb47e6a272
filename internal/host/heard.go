package host

import (
	"net/netip"
	"slices"
)

// Word is something that a host said about an address on an interface.
type Word struct {
	NIC string
	IP  netip.Addr
}

// AddWord appends a word that is not there yet.
func AddWord(words []Word, w Word) []Word {
	if slices.Contains(words, w) {
		return words
	}
	return append(words, w)
}

// Heard is what a probe received from a host.
type Heard struct {
	Deaf      []Word // interfaces that did not even answer for an address of their own
	Answered  []Word // to "who has the address"
	Announced []Word // as the sender of its own queries
}

package host

import (
	"net/netip"
	"slices"
)

// Word is an address that a host replied for or announced, and the interface of the host that sent
// the packet.
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

// Heard has the replies of this host to the function Probe. Probe sends ARP requests and neighbour
// solicitations to this host, as a neighbour would.
type Heard struct {
	Deaf     []Word // Deaf are the interfaces that did not reply even for their own address.
	Answered []Word // Answered are the addresses that the host sent a reply for.
	// Announced are the addresses that the host used as the sender of ARP requests.
	Announced []Word
}

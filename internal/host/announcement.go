package host

import (
	"net/netip"
	"time"
)

// Announcement describes announcements to the neighbours that this host has an address.
type Announcement struct {
	NIC      string
	IP       netip.Addr
	Count    int
	Interval time.Duration
	// Also is the link-layer address of a host that gets a copy of each announcement.
	// Empty means no copy.
	Also string
	// Wait delays the return of the caller until the last packet has been sent.
	Wait bool
}

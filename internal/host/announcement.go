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
	// Wait means that the function that sends the announcements returns only after the last packet.
	Wait bool
}

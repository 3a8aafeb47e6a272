// Package host holds the types of a host on a network: addresses, the settings that control its
// replies and announcements, and the packets that a neighbour received from it. It has only values
// and pure functions; it does not use the kernel.
package host

// Package oracle is what directord and its helper for Oracle say to each other.
package oracle

import "net/netip"

// Question is what the helper reads, as JSON, from its standard input, where
// no other process can read the password. It ends with status 0 if the answer is good;
// else it prints the reason.
type Question struct {
	Addr     netip.AddrPort
	Source   netip.Addr // zero for the kernel's choice
	Login    string
	Passwd   string
	Database string // the SID
	Query    string // empty to log in only
}

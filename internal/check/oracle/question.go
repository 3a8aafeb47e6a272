// Package oracle has the message from directord to its helper program for Oracle.
package oracle

import "net/netip"

// Question is the JSON input of the helper program. The helper reads it from standard input, where
// no other process can read the password. The helper exits with status 0 if the reply of the
// database is good. Otherwise, it prints the reason and exits with another status.
type Question struct {
	Addr netip.AddrPort
	// Source is the source address. It is zero if the kernel chooses the address.
	Source   netip.Addr
	Login    string
	Passwd   string
	Database string // Database is the SID (system identifier) of the Oracle database.
	Query    string // Query is the SQL query. It is empty if the helper only logs in.
}

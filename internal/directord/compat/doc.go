// Package compat holds what directord has in common with the Perl program
// ldirectord: its command line, the lines of its log, its pid files, the format of
// its monitorfile and its mail, and the way from the Perl program to this one. It
// decides nothing about real servers.
package compat

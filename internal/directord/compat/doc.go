// Package compat holds what directord has in common with the Perl program ldirectord.
// It has the command line, the log lines, the pid files, the text of mail and
// the monitorfile. It also ends the Perl program when directord takes its place.
package compat

// Package compat holds everything that directord has in common with the Perl program ldirectord:
// the command line, the log lines, the pid files, the text of mail and the monitorfile. It also
// ends the Perl program when directord replaces it.
package compat

// Package compat holds what directord has in common with the Perl program ldirectord: the command
// line, the status, the log lines, the pid files, mail, fallback commands and the monitorfile. The
// package also finds a Perl program that still runs after directord has replaced it. "directord
// start" refuses to start while the Perl program runs, and "directord stop" ends the Perl program.
package compat

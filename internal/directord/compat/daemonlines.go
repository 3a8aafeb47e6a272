package compat

import (
	"fmt"
	"strings"
)

// The lines of ldirectord's log about the daemon itself.
const (
	ReloadLine = "Reloading Linux Director Daemon config on signal"
	RereadLine = " - reread new configuration"
	IgnoreLine = " - ignore new configuration"
)

// InvokedLine returns the log line about the command line. The line ends with a blank.
func InvokedLine(words []string) string {
	return "Invoking ldirectord invoked as: " + strings.Join(words, " ") + " "
}

// ForegroundLine returns the log line that a daemon in the foreground writes when it starts.
func ForegroundLine(version string, pid int) string {
	return fmt.Sprintf("Starting Linux Director %s with pid: %d", version, pid)
}

// DaemonLine returns the log line that a daemon in the background writes when it starts.
func DaemonLine(version string) string {
	return fmt.Sprintf("Starting Linux Director %s as daemon", version)
}

// ChangedLine returns the log line about a configuration file whose content has changed.
func ChangedLine(file string) string {
	return fmt.Sprintf("Configuration file '%s' has changed on disk", file)
}

// EndLine returns the log line that a daemon writes when it ends. The name of the signal is INT,
// TERM or QUIT.
func EndLine(signal string) string {
	return "Linux Director Daemon terminated on signal: " + signal
}

// ExitLine returns the log line that follows EndLine if debug lines are logged.
func ExitLine(signal string) string { return "Exiting with exit_status 0: " + EndLine(signal) }

// ProblemLine returns the log line about a problem in a configuration file. The severity is Warning
// or Error.
func ProblemLine(severity string, pid int, file string, line int, what string) string {
	return fmt.Sprintf("%s [%d] reading file %s at line %d: %s", severity, pid, file, line, what)
}

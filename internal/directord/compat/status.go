package compat

import "fmt"

// Running returns the text that the action status prints on stderr for a daemon that runs.
// heartbeat searches this text for the word "running".
func Running(config string, pid int) string {
	return fmt.Sprintf("ldirectord for %s is running with pid: %d", config, pid)
}

// Stopped returns the text that the action status prints for a daemon that does not run.
func Stopped(config string) string { return "ldirectord is stopped for " + config }

// Stale returns the text that the action status prints on stderr for the pid file of a daemon that
// was killed.
func Stale(pidFile, config string) string {
	return fmt.Sprintf("ldirectord stale pid file %s for %s", pidFile, config)
}

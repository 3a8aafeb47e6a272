package compat

import "fmt"

// Running returns what status prints on stderr about a daemon that runs. heartbeat
// searches it for the word "running".
func Running(config string, pid int) string {
	return fmt.Sprintf("ldirectord for %s is running with pid: %d", config, pid)
}

// Stopped returns what status prints about a daemon that does not run.
func Stopped(config string) string { return "ldirectord is stopped for " + config }

// Stale returns what status prints on stderr about the pid file of a daemon that was
// killed.
func Stale(pidFile, config string) string {
	return fmt.Sprintf("ldirectord stale pid file %s for %s", pidFile, config)
}

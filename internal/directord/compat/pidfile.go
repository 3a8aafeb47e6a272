package compat

import (
	"path/filepath"
	"strings"
)

// PIDFile returns the path of ldirectord's pid file of an instance in a directory. directord also
// writes its pid there, for systemd and for scripts, but does not read it.
func PIDFile(dir, instance string) string {
	return filepath.Join(dir, "ldirectord."+instance+".pid")
}

// PerlPIDDir is the directory of the pid files of the Perl program, in every network
// namespace.
const PerlPIDDir = "/run"

// PIDDir returns the directory where directord writes these files. For the state directory of
// the system it is the directory of ldirectord. Another network namespace has the files in its own
// state directory.
func PIDDir(stateDir string) string {
	if stateDir == "/run/lvs-agents" {
		return PerlPIDDir
	}
	if strings.HasPrefix(filepath.Base(stateDir), "netns-") {
		return stateDir
	}
	return filepath.Dir(stateDir)
}

package compat

import (
	"path/filepath"
	"strings"
)

// PIDFile returns the path of the pid file that ldirectord uses for an instance. directord also
// writes its pid to this file, for systemd and for scripts, but does not read it.
func PIDFile(dir, instance string) string {
	return filepath.Join(dir, "ldirectord."+instance+".pid")
}

// PerlPIDDir is the directory of the pid files of the Perl program. The Perl program uses the same
// directory in every network namespace.
const PerlPIDDir = "/run"

// PIDDir returns the directory for the pid files of PIDFile. With the state directory of the
// system, it returns the directory that ldirectord uses. In another network namespace, it returns
// the state directory of this namespace. For any other state directory, it returns the parent
// directory.
func PIDDir(stateDir string) string {
	if stateDir == "/run/lvs-agents" {
		return PerlPIDDir
	}
	if strings.HasPrefix(filepath.Base(stateDir), "netns-") {
		return stateDir
	}
	return filepath.Dir(stateDir)
}

package compat

import (
	"path/filepath"
	"strings"
)

// PIDFile is where ldirectord has the pid of an instance in a directory. directord
// writes its pid there too, for systemd and for scripts, and does not read it.
func PIDFile(dir, instance string) string {
	return filepath.Join(dir, "ldirectord."+instance+".pid")
}

// PerlPIDDir is the directory of the pid files of the Perl program, in every network
// namespace.
const PerlPIDDir = "/run"

// PIDDir returns the directory of directord's own files of this kind. It is
// ldirectord's for the state directory of the system. The state directory of
// another network namespace has them itself.
func PIDDir(stateDir string) string {
	if stateDir == "/run/lvs-agents" {
		return PerlPIDDir
	}
	if strings.HasPrefix(filepath.Base(stateDir), "netns-") {
		return stateDir
	}
	return filepath.Dir(stateDir)
}

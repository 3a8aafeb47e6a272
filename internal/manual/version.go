package manual

import (
	"cmp"
	"runtime/debug"
)

// Version returns the version of a program: the version that the linker has set, else the version
// that the go command has recorded, else "unknown".
func Version(set string) string {
	recorded := ""
	if info, ok := debug.ReadBuildInfo(); ok {
		recorded = info.Main.Version
	}
	return cmp.Or(set, recorded, "unknown")
}

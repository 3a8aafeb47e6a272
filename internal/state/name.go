package state

import (
	"fmt"
	"hash/fnv"
	"strings"
)

// FileName returns the file name for the id of a resource. Different ids have different names,
// except for long ids with the same checksum. The id of an instance of a globally unique clone
// contains a colon.
func FileName(id string) string {
	// A file name can have at most 255 bytes. The limit leaves room for an ending, and for the dot of
	// a temporary file.
	const longest = 200
	var b strings.Builder
	for i := range len(id) {
		c := id[i]
		plain := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-_:", c) >= 0 || c == '.' && i > 0
		if plain {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return shorten(b.String(), id, longest)
}

// SocketName returns the file name, without suffix, for the id of a daemon. For a name that
// SocketName has returned, it returns the same name. So an operator can use the id or the name.
func SocketName(id string) string {
	// The path of a unix socket has at most 107 bytes. The longest state directory is
	// /run/lvs-agents/netns-f0000487. With this directory, at least the number longest of bytes
	// remain for the name.
	const longest = 60
	name := strings.Map(func(r rune) rune {
		if r == '/' || r == 0 {
			return '_'
		}
		return r
	}, id)
	return strings.ToValidUTF8(shorten(name, id, longest), "")
}

// shorten returns name if it is not too long. Otherwise, it replaces the end of the name by a
// checksum of the id.
func shorten(name, id string, longest int) string {
	if len(name) <= longest {
		return name
	}
	sum := fnv.New64a()
	_, _ = sum.Write([]byte(id))
	return fmt.Sprintf("%s%%%016x", name[:longest-17], sum.Sum64())
}

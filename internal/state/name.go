package state

import (
	"fmt"
	"hash/fnv"
	"strings"
)

// FileName returns the file name for an id; different ids have different names. Ids of globally
// unique clones have a colon.
func FileName(id string) string {
	// Temporary files have a dot more than the 255 bytes of a name allow.
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

// SocketName returns the file name for the id of a daemon. For a name that it has
// returned, it returns the same name, so an operator can give either.
func SocketName(id string) string {
	// The path of a unix socket has at most 107 bytes. longest is the rest of them after the
	// longest state directory, /run/lvs-agents/netns-f0000487, and the other parts of the path.
	const longest = 60
	name := strings.Map(func(r rune) rune {
		if r == '/' || r == 0 {
			return '_'
		}
		return r
	}, id)
	return strings.ToValidUTF8(shorten(name, id, longest), "")
}

// shorten replaces the end of a name that is too long by a checksum of its id.
func shorten(name, id string, longest int) string {
	if len(name) <= longest {
		return name
	}
	sum := fnv.New64a()
	_, _ = sum.Write([]byte(id))
	return fmt.Sprintf("%s%%%016x", name[:longest-17], sum.Sum64())
}

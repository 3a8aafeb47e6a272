package connection

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// Sketch is a sample of a set of connections: the smallest of their hashes. Every connection has
// the same chance to be in the sample, on every director. The share of a sketch that another
// director holds is an estimate of the share of the whole set. The zero value is the sketch of an
// empty set.
type Sketch struct {
	Count  int      // Count is the number of connections in the set.
	hashes []uint32 // hashes are sorted in ascending order, without repetition.
}

// sketchSize is the most hashes in a sketch. A director that lacks 5 % of the connections has 99 %
// or more of 128 hashes with a probability of 1 %.
const sketchSize = 128

// lasting is how long an entry must still last to be in a sketch. The kernel of another director
// can remove it a few seconds earlier.
const lasting = 30 * time.Second

// Lasting reports whether a sketch counts the entry: it is an open connection or a template, can be
// carried, and does not expire soon.
func (c Connection) Lasting() bool {
	return (c.Open() || c.Template()) && c.Expires >= lasting && c.Carried()
}

// Hash returns a number for the connection. Every director, and every version of the program with
// the same sketchVersion, returns the same number. Two connections can have the same number.
func (c Connection) Hash() uint32 {
	// offset is the offset basis of the 64-bit hash FNV-1a.
	const offset, prime = 14695981039346656037, 1099511628211
	hash := uint64(offset)
	add := func(b byte) { hash = (hash ^ uint64(b)) * prime }
	add(c.Protocol)
	for _, a := range [...]netip.AddrPort{c.Client, c.Virtual, c.Real} {
		raw := a.Addr().As16()
		for _, b := range raw {
			add(b)
		}
		add(byte(a.Port() >> 8))
		add(byte(a.Port()))
	}
	// With FNV-1a alone, the last bytes have little effect on the high bits of the hash. The next
	// steps are the finalizer of MurmurHash3, which makes every byte count for every bit.
	hash ^= hash >> 33
	hash *= 0xff51afd7ed558ccd
	hash ^= hash >> 33
	hash *= 0xc4ceb9fe1a85ec53
	return uint32(hash >> 32)
}

// Add adds a connection to the set. Add each connection only once.
func (s *Sketch) Add(c Connection) {
	s.Count++
	hash := c.Hash()
	if len(s.hashes) == sketchSize && hash >= s.hashes[sketchSize-1] {
		return
	}
	place, found := slices.BinarySearch(s.hashes, hash)
	if found {
		return
	}
	if len(s.hashes) == sketchSize {
		s.hashes = s.hashes[:sketchSize-1]
	}
	s.hashes = slices.Insert(s.hashes, place, hash)
}

// Want adds the hashes of the sketch to found, with the value false. It does not change hashes that
// found already has.
func (s Sketch) Want(found map[uint32]bool) {
	for _, hash := range s.hashes {
		if !found[hash] {
			found[hash] = false
		}
	}
}

// Share returns which share of the hashes has the value true in found, in whole percent rounded
// down. For an empty sketch, Share returns 100.
func (s Sketch) Share(found map[uint32]bool) int {
	if len(s.hashes) == 0 {
		return 100
	}
	have := 0
	for _, hash := range s.hashes {
		if found[hash] {
			have++
		}
	}
	return 100 * have / len(s.hashes)
}

// sketchVersion is the first word of the text of a sketch. A program with another hash function or
// another format must use another word.
const sketchVersion = "1"

// String returns the text that ParseSketch reads: version, number of connections, and the hashes
// in base64.
func (s Sketch) String() string {
	raw := make([]byte, 0, 4*len(s.hashes))
	for _, hash := range s.hashes {
		raw = binary.BigEndian.AppendUint32(raw, hash)
	}
	return fmt.Sprintf("%s:%d:%s", sketchVersion, s.Count, base64.RawURLEncoding.EncodeToString(raw))
}

// ErrSketch is the error of a text that is not a sketch of this version.
var ErrSketch = errors.New("not a sketch of this version")

// ParseSketch reads a sketch that another director has written. The error is ErrSketch.
func ParseSketch(text string) (Sketch, error) {
	var s Sketch
	var encoded string
	if _, err := fmt.Sscanf(text, sketchVersion+":%d:%s", &s.Count, &encoded); err != nil && text != (Sketch{}).String() {
		return Sketch{}, ErrSketch
	}
	raw, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil || len(raw)%4 != 0 {
		return Sketch{}, ErrSketch
	}
	for ; len(raw) > 0; raw = raw[4:] {
		s.hashes = append(s.hashes, binary.BigEndian.Uint32(raw))
	}
	// String must return the same text, so no other form of it is accepted.
	if len(s.hashes) > min(s.Count, sketchSize) || !ascending(s.hashes) || s.String() != text {
		return Sketch{}, ErrSketch
	}
	return s, nil
}

func ascending(hashes []uint32) bool {
	for i := 1; i < len(hashes); i++ {
		if hashes[i-1] >= hashes[i] {
			return false
		}
	}
	return true
}

// Package stack lets the stack of the main goroutine grow once, before most other packages
// initialize. Without it, the stack grows from 2 kB to 16 kB in three steps in every action of an
// agent. In these steps, Go reads tables of the program that no earlier code has read
// (docs/adr/0068-start-up-of-an-agent.md).
//
// Import it without a name. Go initializes packages in the order of their paths, but a package
// after its imports. This package has no import, so it comes before all packages with a later path.
package stack

// size is how many bytes of stack Go makes room for. With 3 kB or 20 kB, a monitor is slower.
const size = 12 << 10

var _ = use(size - 1)

// use has a frame of size bytes. Before it runs, Go makes the stack large enough for the frame. use
// returns one byte, so that the compiler keeps the frame.
//
//go:noinline
func use(last int) byte {
	var frame [size]byte
	return frame[last]
}

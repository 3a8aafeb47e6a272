// Package doctor says what is wrong with a real server, from what the kernel
// has and from what packets proved.
package doctor

// Finding is one thing that is wrong.
type Finding struct {
	What string // what a neighbour or client notices
	Why  string // the setting that causes it
	Fix  string // a command, or what else to do
}

// String is one line.
func (f Finding) String() string { return f.What + ": " + f.Why + "; " + f.Fix }

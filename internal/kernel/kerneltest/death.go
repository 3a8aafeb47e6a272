package kerneltest

import "runtime"

// Death ends the goroutine of its caller at one operation, as if the process were killed.
type Death struct {
	Left  int  // Left is the number of operations before the fatal one.
	After bool // After says that the fatal operation is carried out first.
	Died  bool // Died says that the caller came to the fatal operation.
}

// Do carries out an operation, unless the caller dies before it.
func (d *Death) Do(op func()) {
	d.Left--
	d.Died = d.Died || d.Left < 0
	if d.Died && !d.After {
		runtime.Goexit()
	}
	op()
	if d.Died {
		runtime.Goexit()
	}
}

package host

import (
	"errors"
	"fmt"
)

// ErrNotInstalled means that this node lacks something: IPVS in the kernel, a scheduler, a network
// interface. The text around it names the thing and the fix. It also matches errors.ErrUnsupported,
// for callers that do not import this package.
var ErrNotInstalled error = notInstalled{}

type notInstalled struct{}

func (notInstalled) Error() string { return "not installed" }

func (notInstalled) Is(target error) bool { return target == errors.ErrUnsupported }

// ErrNoNetwork means that no interface is directly connected to the network of an address. So the
// interface or the prefix length for the address is unknown.
var ErrNoNetwork = errors.New("no directly connected network")

// ErrDuplicate means that another host has an address.
var ErrDuplicate = errors.New("another host has this address")

// ErrNoCarrier means that an operation needs a carrier, and the interface has none.
var ErrNoCarrier = errors.New("the interface has no carrier")

// NotInstalled returns an ErrNotInstalled with this text. The text names the missing thing and,
// after a semicolon, how to install it.
func NotInstalled(format string, args ...any) error {
	return missing(fmt.Sprintf(format, args...))
}

type missing string

func (m missing) Error() string { return string(m) }

func (missing) Unwrap() error { return ErrNotInstalled }

// Held hides that an error is an ErrNotInstalled. Use it for a kernel object that a resource holds:
// if the object cannot be read, it can still exist.
func Held(err error) error {
	if errors.Is(err, errors.ErrUnsupported) {
		return errors.New(err.Error())
	}
	return err
}

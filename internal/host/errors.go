package host

import (
	"errors"
	"fmt"
)

// ErrNotInstalled says that this node lacks what was asked for: IPVS in the
// kernel, a scheduler, a network interface. The text around it names the thing
// and the fix. It is errors.ErrUnsupported to those who do not know this package.
var ErrNotInstalled error = notInstalled{}

type notInstalled struct{}

func (notInstalled) Error() string { return "not installed" }

func (notInstalled) Is(target error) bool { return target == errors.ErrUnsupported }

// ErrNoNetwork says that no interface is directly connected to the network of
// an address, so its interface or prefix length cannot be found out.
var ErrNoNetwork = errors.New("no directly connected network")

// ErrDuplicate says that another host has an address.
var ErrDuplicate = errors.New("another host has this address")

// ErrNoCarrier says that something has to wait until the interface has a carrier.
var ErrNoCarrier = errors.New("the interface has no carrier")

// NotInstalled is an ErrNotInstalled with a text of its own: what is missing
// and, after a semicolon, how to get it.
func NotInstalled(format string, args ...any) error {
	return missing(fmt.Sprintf(format, args...))
}

type missing string

func (m missing) Error() string { return string(m) }

func (missing) Unwrap() error { return ErrNotInstalled }

// Held hides that an error is an ErrNotInstalled. It is for what a resource holds: what
// cannot be examined is not gone.
func Held(err error) error {
	if errors.Is(err, errors.ErrUnsupported) {
		return errors.New(err.Error())
	}
	return err
}

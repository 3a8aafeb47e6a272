package setting

import (
	"context"
	"errors"
	"net/netip"

	"lvs-agents/internal/host"
)

// entry converts a setting to an address with the prefix length of a single host. The same address
// with another prefix length is another setting. For IPv6, entry disables duplicate address
// detection, because no neighbour queries the address. The address is deprecated, so that the
// kernel does not use it as the source of connections.
func entry(s host.Setting) host.Address {
	a := host.Address{Prefix: netip.PrefixFrom(s.IP, s.IP.BitLen()), NIC: s.NIC}
	if s.IP.Is6() {
		a.Deprecated, a.NoDAD = true, true
	} else if s.Scope != "global" {
		a.Scope = s.Scope
	}
	return a
}

// tentative is the value of an IPv6 address whose duplicate address detection has not finished.
const tentative = "tentative"

func (k Kernel) address(ctx context.Context, s host.Setting) (string, error) {
	_, found, err := k.On(ctx, s.NIC, s.IP)
	if errors.Is(err, host.ErrNotInstalled) {
		return Gone, nil
	}
	for _, a := range found {
		switch {
		case a.Prefix.Bits() != s.IP.BitLen():
		case a.Observed.Tentative:
			return tentative, err
		default:
			return host.On, err
		}
	}
	return host.Off, err
}

func (k Kernel) setAddress(ctx context.Context, s host.Setting, on bool) error {
	op := host.AddressOp{Verb: host.DeleteAddress, Address: entry(s)}
	if on {
		op.Verb = host.AddAddress
	}
	err := k.change(ctx, op)
	if err == nil && on {
		err = k.Settle(ctx, op.Address)
	}
	return err
}

// linkUp reads whether an interface is up, and returns host.On or host.Off. It returns Gone for an
// interface that does not exist.
func (k Kernel) linkUp(ctx context.Context, s host.Setting) (string, error) {
	state, err := k.Interface(ctx, s.NIC)
	if errors.Is(err, host.ErrNotInstalled) {
		return Gone, nil
	}
	return onOff(!state.Down), err
}

func (k Kernel) setLink(ctx context.Context, s host.Setting, on bool) error {
	op := host.AddressOp{Verb: host.LowerLink, Address: host.Address{NIC: s.NIC}}
	if on {
		op.Verb = host.RaiseLink
	}
	return k.change(ctx, op)
}

// change makes one change of an address or an interface. The error of Apply starts with the
// command. change removes this prefix, because Set adds the command to the error.
func (k Kernel) change(ctx context.Context, op host.AddressOp) error {
	_, err := k.Apply(ctx, []host.AddressOp{op})
	return errors.Unwrap(err)
}

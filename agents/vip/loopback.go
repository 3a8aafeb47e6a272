package vip

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"lvs-agents/agents/vip/note"
	"lvs-agents/internal/host"
	"lvs-agents/ocf"
)

// notes are the notes of the resource.
type notes struct{ lo, proof, announced note.Note }

func (a *Agent) notes(c ocf.Call) notes {
	return notes{
		lo:        note.Of(c.StateDir, note.Loopback, c.Instance),
		proof:     note.Of(c.StateDir, note.Proof, c.Instance),
		announced: note.Of(c.StateDir, note.Announced, c.Instance),
	}
}

func (n notes) forgetProof() { _ = n.proof.Remove() }

// loopback returns the addresses that start has removed from lo. They are in the note.
func (n notes) loopback() ([]host.Address, error) {
	text, err := n.lo.Read()
	if err != nil {
		return nil, err
	}
	var kept []host.Address
	for line := range strings.Lines(text) {
		address, err := host.ParseAddress(line)
		if err != nil {
			return nil, fmt.Errorf("reading the note of the addresses that start removed from lo: %w", err)
		}
		kept = append(kept, address)
	}
	return kept, nil
}

// takenOffLoopback returns the addresses that start has removed from lo. If the note cannot be
// read, it logs a warning and returns none, because a damaged note does not change the state of the
// resource.
func (a *Agent) takenOffLoopback(c ocf.Call) []host.Address {
	kept, err := a.notes(c).loopback()
	if err != nil {
		c.Log.Warnf("stop cannot put the addresses back on lo: %v", err)
		return nil
	}
	return kept
}

// missingOnLoopback returns the addresses of the note that lo does not have. The note can still
// exist after a stop that has added all addresses to lo again, if stop could not remove the note.
func (a *Agent) missingOnLoopback(ctx context.Context, c ocf.Call) ([]host.Address, error) {
	var missing []host.Address
	for _, kept := range a.takenOffLoopback(c) {
		have, err := a.kernel.Addresses(ctx, kept.Prefix.Addr())
		if err != nil {
			return nil, err
		}
		back := func(there host.Address) bool { return there.NIC == kept.NIC && there.Prefix == kept.Prefix }
		if !slices.ContainsFunc(have, back) {
			missing = append(missing, kept)
		}
	}
	return missing, nil
}

// takeOffLoopback removes the address from lo if lvs_support is true. Before that, it writes a note
// of the addresses that stop must add to lo again.
func (a *Agent) takeOffLoopback(ctx context.Context, c ocf.Call) error {
	if !a.LVSSupport {
		return nil
	}
	all, err := a.kernel.Addresses(ctx, a.IP)
	if err != nil {
		return err
	}
	var text strings.Builder
	var ops []host.AddressOp
	for _, address := range all {
		if strings.HasPrefix(address.NIC, "lo") && address.Observed.Silent {
			fmt.Fprintln(&text, address)
			ops = append(ops, host.AddressOp{Verb: host.DeleteAddress, Address: address})
		}
	}
	if len(ops) == 0 {
		return nil
	}
	if err := a.notes(c).lo.Write(text.String()); err != nil {
		return fmt.Errorf("noting the addresses on lo: %w", err)
	}
	for _, op := range ops {
		if err := a.apply(ctx, c, op); err != nil {
			return err
		}
	}
	return nil
}

// putBackOnLoopback adds the addresses to lo that takeOffLoopback has removed. The address is
// already removed from its interface, so an error is only logged.
func (a *Agent) putBackOnLoopback(ctx context.Context, c ocf.Call) {
	for _, address := range a.takenOffLoopback(c) {
		if err := a.apply(ctx, c, host.AddressOp{Verb: host.AddAddress, Address: address}); err != nil {
			c.Log.Errorf("putting the address back on lo: %v", err)
		}
	}
	if err := a.notes(c).lo.Remove(); err != nil {
		c.Log.Warnf("the note of the addresses that start removed from lo stays: %v", err)
	}
}

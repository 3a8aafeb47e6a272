package ipvs

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"lvs-agents/internal/config"
	"lvs-agents/internal/host"
	"lvs-agents/internal/ledger"
	"lvs-agents/internal/lvs"
)

// timeouts returns the timeouts of connections that a configuration has.
func timeouts(cfg *config.Config) []ledger.Wanted {
	var all []ledger.Wanted
	for i, d := range cfg.Timeouts {
		if d != 0 {
			all = append(all, ledger.Wanted{Setting: host.Setting{Kind: host.Timeout, Name: lvs.TimeoutNames()[i]}, Value: seconds(d)})
		}
	}
	return all
}

func seconds(d time.Duration) string { return strconv.Itoa(int(d / time.Second)) }

// director reads and changes the settings of the director for the ledger: sysctls, and the timeouts
// of IPVS.
type director struct {
	ledger.Kernel

	ipvs Kernel
}

// Get returns the value of a setting. Without IPVS in the kernel, a timeout has no value.
func (d director) Get(ctx context.Context, s host.Setting) (string, error) {
	if s.Kind != host.Timeout {
		return d.Kernel.Get(ctx, s)
	}
	t, err := d.ipvs.Timeouts(ctx)
	if errors.Is(err, host.ErrNotInstalled) {
		return "", nil
	}
	return seconds(t[slices.Index(lvs.TimeoutNames(), s.Name)]), err
}

// Set gives a setting a value.
func (d director) Set(ctx context.Context, s host.Setting, value string) error {
	if s.Kind != host.Timeout {
		return d.Kernel.Set(ctx, s, value)
	}
	t, err := lvs.ParseTimeouts(s.Name + " " + value)
	if err != nil {
		return err
	}
	return d.ipvs.SetTimeouts(ctx, t)
}

package ipvs

import (
	"context"
	"errors"

	"lvs-agents/internal/config"
	"lvs-agents/internal/host"
	"lvs-agents/internal/ledger"
	"lvs-agents/internal/state"
	"lvs-agents/ocf"
)

// sloppy returns the settings of the director that a configuration has. With them, the kernel also
// schedules packets of a connection that it does not know (net/netfilter/ipvs/ip_vs_proto_tcp.c).
func sloppy(cfg *config.Config) []ledger.Wanted {
	var all []ledger.Wanted
	for _, s := range []struct {
		name string
		on   *bool
	}{{"sloppy_tcp", cfg.SloppyTCP}, {"sloppy_sctp", cfg.SloppySCTP}} {
		if s.on == nil {
			continue
		}
		value := "0"
		if *s.on {
			value = "1"
		}
		all = append(all, ledger.Wanted{Setting: host.Setting{Kind: host.Sysctl, Name: "net/ipv4/vs/" + s.name}, Value: value})
	}
	return all
}

// settings returns the ledger.Resource, which sets and restores the director settings of this
// resource. All parts of an action use the same ledger.Resource, because the monitor after a stop
// must know the result of the stop.
func (a action) settings() *ledger.Resource {
	if a.held == nil {
		a.held = &ledger.Resource{
			ID: a.Instance, Role: ledger.Director, StateDir: a.StateDir, Kernel: director{a.host, a.kernel}, Log: a.Log,
			Want: func(ctx context.Context) ([]ledger.Wanted, error) {
				want, err := a.want(ctx, a.Call)
				return want.settings, err
			},
		}
	}
	return a.held
}

// holds reports whether this resource is in the ledger. If the ledger is damaged, holds logs a
// warning and returns no error, because most resources hold no setting.
func (a action) holds() (bool, error) {
	store, err := ledger.In(a.StateDir, ledger.Director)
	if err != nil {
		return false, err
	}
	l, err := store.Load()
	if errors.Is(err, state.ErrDamaged) {
		a.Log.Warnf("%v; the agent uses the part that it can read", err)
		err = nil
	}
	return l.State(a.Instance) != "", err
}

// hold gives the settings of the director the wanted values. It puts back settings that the
// resource does not need any more.
func (a action) hold(ctx context.Context, want []ledger.Wanted) error {
	if len(want) == 0 {
		return a.release(ctx)
	}
	// This read of the IPVS table makes the kernel load the module ip_vs, which creates the sysctls.
	if _, err := a.kernel.Table(ctx); err != nil {
		return err
	}
	held := a.settings()
	held.Want = func(context.Context) ([]ledger.Wanted, error) { return want, nil }
	return held.Apply(ctx)
}

// release puts back the settings that this resource holds.
func (a action) release(ctx context.Context) error {
	holds, err := a.holds()
	if err != nil || !holds {
		return err
	}
	return a.settings().Release(ctx)
}

// withSettings returns the status of the resource. It combines the status of the services with the
// state of the settings.
func (a action) withSettings(ctx context.Context, services ocf.Status) (ocf.Status, error) {
	holds, err := a.holds()
	if err != nil || !holds || services.State == ocf.Failed {
		return services, err
	}
	report, err := a.settings().Check(ctx)
	switch {
	case err != nil:
		return ocf.Status{}, err
	case services.State == ocf.Stopped && !report.Gone:
		return ocf.Status{State: ocf.Failed, Reason: "the resource's settings are set, but its services are missing: a start or stop did not end; stop the resource"}, nil
	case services.State == ocf.Running && report.Fault != "":
		return ocf.Status{State: ocf.Failed, Reason: report.Fault}, nil
	}
	return services, nil
}

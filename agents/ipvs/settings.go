package ipvs

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"time"

	"lvs-agents/internal/config"
	"lvs-agents/internal/host"
	"lvs-agents/internal/ledger"
	"lvs-agents/internal/state"
	"lvs-agents/ocf"
)

// wanted returns sysctls as settings of the ledger.
func wanted(sysctls []config.Sysctl) []ledger.Wanted {
	var all []ledger.Wanted
	for _, s := range sysctls {
		all = append(all, ledger.Wanted{Setting: vs(s.Name), Value: s.Value})
	}
	return all
}

func vs(name string) host.Setting {
	return host.Setting{Kind: host.Sysctl, Name: "net/ipv4/vs/" + name}
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

// holds reports whether this resource is in the ledger.
func (a action) holds() (bool, error) {
	l, err := a.ledger()
	return l.State(a.Instance) != "", err
}

// ledger returns the settings of the director. If the ledger is damaged, it logs a warning and
// returns no error, because most resources need no setting.
func (a action) ledger() (ledger.Ledger, error) {
	store, err := ledger.In(a.StateDir, ledger.Director)
	if err != nil {
		return ledger.Ledger{}, err
	}
	l, err := store.Load()
	if errors.Is(err, state.ErrDamaged) {
		a.Log.Warnf("%v; the agent uses the part that it can read", err)
		err = nil
	}
	return l, err
}

// hold gives the settings of the director the wanted values. It puts back settings that the
// resource does not need any more.
func (a action) hold(ctx context.Context, want target) error {
	if len(want.settings)+len(want.defaults) == 0 {
		a.prefer(ctx, nil)
		return a.release(ctx)
	}
	// This read of the IPVS table makes the kernel load the module ip_vs, which creates the sysctls.
	if _, err := a.kernel.Table(ctx); err != nil {
		return err
	}
	l, err := a.ledger()
	if err != nil {
		return err
	}
	if overlap(l.Held(a.defaultsID()), want.settings) {
		a.prefer(ctx, nil) // The operator now gives the value of a default.
	}
	if err := a.give(ctx, want.settings); err != nil {
		return err
	}
	a.prefer(ctx, want.defaults)
	return nil
}

func overlap(held []ledger.Entry, want []ledger.Wanted) bool {
	return slices.ContainsFunc(held, func(e ledger.Entry) bool {
		return slices.ContainsFunc(want, func(w ledger.Wanted) bool { return w.Setting == e.Setting })
	})
}

// give gives the settings the values that the operator has given.
func (a action) give(ctx context.Context, want []ledger.Wanted) error {
	if len(want) == 0 {
		return a.release(ctx)
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

// defaultsID is the holder of the defaults in the ledger.
func (a action) defaultsID() string { return a.Instance + " (defaults)" }

// preferring is how long prefer can take.
const preferring = 2 * time.Second

// prefer gives settings of the director their defaults for the services of this resource. It puts
// back defaults that the resource does not need any more. The operator has not given these values.
// So they fail no action, and the monitor of a running resource does not compare them with the
// kernel.
func (a action) prefer(ctx context.Context, defaults []ledger.Wanted) {
	ctx, cancel := context.WithTimeout(ctx, preferring)
	defer cancel()
	if err := a.tryDefaults(ctx, defaults); err != nil {
		a.Log.Warnf("the defaults of sysctls: %v", err)
	}
}

// forgetDefaults puts back the defaults after a start that was refused before it wrote a record.
// Otherwise the next monitor would report a start that did not end.
func (a action) forgetDefaults(ctx context.Context) {
	if _, err := a.store.Load(a.Instance); errors.Is(err, fs.ErrNotExist) {
		a.prefer(ctx, nil)
	}
}

func (a action) tryDefaults(ctx context.Context, defaults []ledger.Wanted) error {
	want, err := a.settable(ctx, defaults)
	if err != nil {
		return err
	}
	held := a.holderOfDefaults(want)
	if len(want) > 0 {
		return held.Apply(ctx)
	}
	l, err := a.ledger()
	if err != nil || l.State(held.ID) == "" {
		return err
	}
	return held.Release(ctx)
}

func (a action) holderOfDefaults(want []ledger.Wanted) *ledger.Resource {
	return &ledger.Resource{
		ID: a.defaultsID(), Role: ledger.Director, StateDir: a.StateDir, Kernel: a.host, Log: a.Log,
		Want: func(context.Context) ([]ledger.Wanted, error) { return want, nil },
	}
}

// settable returns the defaults that this kernel has. While connections use conntrack, it leaves
// out conn_reuse_mode. With conntrack, the kernel drops the first packet of a reused port
// (ip_vs_core.c, ip_vs_conn_uses_old_conntrack).
func (a action) settable(ctx context.Context, defaults []ledger.Wanted) ([]ledger.Wanted, error) {
	if len(defaults) == 0 {
		return nil, nil
	}
	conntrack, err := a.host.Get(ctx, vs("conntrack"))
	if err != nil {
		return nil, err
	}
	var all []ledger.Wanted
	for _, w := range defaults {
		have, err := a.host.Get(ctx, w.Setting)
		if err != nil {
			return nil, err
		}
		if have != "" && (w.Setting != vs("conn_reuse_mode") || conntrack != "1") {
			all = append(all, w)
		}
	}
	return all, nil
}

// withSettings returns the status of the resource. It combines the status of the services with the
// state of the settings. If another program deleted the services, only settings that the operator
// has given change the status. If there is no record, a start or stop left the defaults.
func (a action) withSettings(ctx context.Context, services ocf.Status) (ocf.Status, error) {
	l, err := a.ledger()
	if err != nil || services.State == ocf.Failed {
		return services, err
	}
	var given, defaults ledger.Report
	if given.Gone = true; l.State(a.Instance) != "" {
		if given, err = a.settings().Check(ctx); err != nil {
			return ocf.Status{}, err
		}
	}
	noRecord := services.State == ocf.Stopped && services.Reason == ""
	if defaults.Gone = true; noRecord && l.State(a.defaultsID()) != "" && !a.leftDefaults {
		if defaults, err = a.holderOfDefaults(nil).Check(ctx); err != nil {
			return ocf.Status{}, err
		}
	}
	switch {
	case services.State == ocf.Stopped && (!given.Gone || !defaults.Gone):
		return ocf.Status{State: ocf.Failed, Reason: "the resource's settings are set, but its services are missing: a start or stop did not end, or another program deleted them; stop the resource"}, nil
	case services.State == ocf.Running && given.Fault != "":
		return ocf.Status{State: ocf.Failed, Reason: given.Fault}, nil
	}
	return services, nil
}

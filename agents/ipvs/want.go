package ipvs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"lvs-agents/internal/config"
	"lvs-agents/internal/control"
	"lvs-agents/internal/disk"
	"lvs-agents/internal/lvs"
	"lvs-agents/internal/state/record"
	"lvs-agents/ocf"
)

// Validate checks what the parameters say together, and the file that they
// name. No level looks at the kernel: whether it has IPVS is for start to say.
func (a *Agent) Validate(ctx context.Context, c ocf.Call, _ int) error {
	if a.Config == "" || a.consistent() != nil {
		_, err := a.want(ctx, c)
		return err
	}
	parsed, err := a.parse(ctx, c)
	if err != nil {
		return err
	}
	_, problems := parsed.Table(ctx, config.NewNames(a.resolver))
	report(c, problems)
	return config.Err(problems)
}

// consistent refuses parameters that contradict each other.
func (a *Agent) consistent() error {
	inline := map[string]bool{
		"real": a.Real != "", "scheduler": a.Scheduler != lvs.DefaultScheduler,
		"persistent": a.Persistent != 0, "netmask": a.Netmask != "", "protocol": a.Protocol != "",
	}
	switch {
	case a.Config == "" && a.Virtual == "":
		return ocf.WrongEverywhere(errors.New("no virtual services; give config=FILE or virtual=ADDRESS:PORT"))
	case a.Config != "" && a.Virtual != "":
		return ocf.WrongEverywhere(errors.New("parameters config and virtual exclude each other; keep one of them"))
	case a.Config == "" && a.Real == "":
		return ocf.WrongEverywhere(errors.New("no real servers; give real=\"ADDRESS gate|masq|ipip WEIGHT, …\""))
	case a.Config == "":
		return nil
	}
	for _, p := range a.params() {
		if inline[p.Name] {
			return ocf.WrongEverywhere(fmt.Errorf("parameter %s=%q has no meaning together with config; write it into %s", p.Name, p.Value, a.Config))
		}
	}
	return nil
}

// want is the services that the parameters ask for.
func (a *Agent) want(ctx context.Context, c ocf.Call) (lvs.Table, error) {
	if err := a.consistent(); err != nil {
		return nil, err
	}
	if a.Config != "" {
		return a.fromFile(ctx, c)
	}
	table, err := config.Inline(config.InlineParams{
		Virtual: a.Virtual, Real: a.Real, Scheduler: a.Scheduler,
		Persistent: a.Persistent, Netmask: a.Netmask, Protocol: a.Protocol,
	})
	if err != nil {
		return nil, ocf.WrongEverywhere(err)
	}
	return table, nil
}

func (a *Agent) fromFile(ctx context.Context, c ocf.Call) (lvs.Table, error) {
	parsed, err := a.parse(ctx, c)
	if err != nil {
		return nil, err
	}
	names := config.NewNames(a.resolver)
	if err := names.Restore(c.StateDir); err != nil {
		c.Log.Warnf("the last addresses of names: %v", err)
	}
	table, problems := parsed.Table(ctx, names)
	report(c, problems)
	if err := config.Err(problems); err != nil {
		return nil, err // no fault of the file: the names may have addresses again soon
	}
	if err := names.Save(c.StateDir); err != nil {
		c.Log.Warn(err)
	}
	return table, nil
}

// report logs what a file does not say as it should.
func report(c ocf.Call, problems []config.Problem) {
	for _, p := range problems {
		if p.Severity == config.Warning {
			c.Log.Warn(p)
			continue
		}
		c.Log.Error(p)
	}
}

// parse reads the file.
func (a *Agent) parse(ctx context.Context, c ocf.Call) (*config.Config, error) {
	path, text, err := config.Read(ctx, &disk.Reader{}, a.Config, a.configDirs...)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ocf.Lacking(fmt.Errorf("parameter config: %w; copy it to every node", err))
	}
	if err != nil {
		return nil, fmt.Errorf("parameter config: %w", err)
	}
	parsed, problems := config.Parse(path, text)
	if err := config.Err(problems); err != nil {
		return nil, ocf.WrongHere(err)
	}
	if len(parsed.Services) == 0 {
		return nil, ocf.WrongHere(fmt.Errorf("%s has no virtual service; add virtual=ADDRESS:PORT", parsed.File))
	}
	report(c, problems)
	return parsed, nil
}

// withheld is the real servers that get no new connections before a health daemon
// has checked them: those that were bad a moment ago, unless all of a service were.
func withheld(c ocf.Call, want lvs.Table) []string {
	bad := lastBad(c)
	var all []string
	for _, v := range want {
		var servers []string
		for _, d := range v.Destinations {
			if name := record.Server(v.ID, d.Addr); bad[name] {
				servers = append(servers, name)
			}
		}
		if len(servers) < len(v.Destinations) {
			all = append(all, servers...)
		}
	}
	for _, server := range all {
		c.Log.Warnf("%s was bad less than %v ago and gets weight 0, until a health daemon has checked it, or for %v if there is none", server, control.Memory, control.Memory)
	}
	return all
}

func lastBad(c ocf.Call) map[string]bool {
	bad, err := control.LastBad(c.StateDir, control.Memory)
	if err != nil {
		c.Log.Warnf("the last verdicts of the health daemon: %v", err)
	}
	return bad
}

// overdue reports whether real servers are kept out for longer than verdicts count: by a
// claim whose daemon is gone, or because a record withholds them from a service that no
// health daemon has taken over.
func overdue(c ocf.Call, r record.Record, l lease) bool {
	if l.lapsed() {
		return true
	}
	if len(r.Withheld) == 0 {
		return false
	}
	bad := lastBad(c)
	for _, v := range r.Services {
		for _, d := range v.Destinations {
			if name := record.Server(v.ID, d.Addr); !l.claims[v.ID] && !bad[name] && slices.Contains(r.Withheld, name) {
				return true
			}
		}
	}
	return false
}

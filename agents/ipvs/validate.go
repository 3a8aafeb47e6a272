package ipvs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"lvs-agents/internal/config"
	"lvs-agents/internal/config/load"
	"lvs-agents/internal/disk"
	"lvs-agents/internal/lvs"
	"lvs-agents/ocf"
)

// Validate checks that the parameters fit together, and that the agent can use the file in the
// parameter config. It returns an error if the kernel certainly lacks something that the services
// need. It loads no module.
func (a *Agent) Validate(ctx context.Context, c ocf.Call, _ int) error {
	if a.Config == "" || a.consistent() != nil {
		want, err := a.want(ctx, c)
		if err != nil {
			return err
		}
		return a.kernel.Lacks(want.Table)
	}
	file, err := a.parse(ctx, c)
	if err != nil {
		return err
	}
	table, problems := file.Config.Table(ctx, config.NewNames(a.resolver))
	report(c, problems)
	if err := config.Err(problems); err != nil {
		return err
	}
	return a.kernel.Lacks(table)
}

// consistent returns an error if the parameters contradict each other.
func (a *Agent) consistent() error {
	inline := map[string]bool{
		"real": a.Real != "", "scheduler": a.Scheduler != lvs.DefaultScheduler, "schedflags": a.SchedFlags != "",
		"sloppy_tcp": a.SloppyTCP != "", "sloppy_sctp": a.SloppySCTP != "", "conn_reuse_mode": a.ConnReuseMode != "",
		"expire_nodest_conn": a.ExpireNodestConn != "", "expire_quiescent_template": a.ExpireQuiescentTemplate != "",
		"ops": a.OPS != "", "persistence_engine": a.Engine != "", "lvs_timeouts": a.Timeouts != "",
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

// report logs the problems of a configuration file.
func report(c ocf.Call, problems []config.Problem) {
	for _, p := range problems {
		if p.Severity == config.Warning {
			c.Log.Warn(p)
			continue
		}
		c.Log.Error(p)
	}
}

// parse reads the configuration file.
func (a *Agent) parse(ctx context.Context, c ocf.Call) (file load.Result, err error) {
	file, err = load.File(ctx, &disk.Reader{}, a.Config, a.configDirs...)
	if errors.Is(err, fs.ErrNotExist) {
		return file, ocf.Lacking(fmt.Errorf("parameter config: %w; copy it to every node", err))
	}
	if err != nil {
		return file, fmt.Errorf("parameter config: %w", err)
	}
	if err := file.Unusable(); err != nil {
		return file, ocf.WrongHere(err)
	}
	report(c, file.Problems)
	return file, nil
}

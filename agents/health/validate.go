package health

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"lvs-agents/internal/config"
	"lvs-agents/internal/config/load"
	"lvs-agents/internal/disk"
	"lvs-agents/ocf"
)

// Validate checks the parameters, and that the daemon can use the file in the parameter config.
func (a *Agent) Validate(ctx context.Context, c ocf.Call, _ int) error {
	switch {
	case strings.ContainsFunc(a.Attribute, foreign):
		return ocf.WrongEverywhere(fmt.Errorf("parameter attribute=%q is not a name; use only letters, digits, points, - and _", a.Attribute))
	case a.Config == "" && a.IPVS == "":
		return ocf.WrongEverywhere(errors.New("nothing to check; give config=FILE or ipvs=RESOURCE"))
	case a.Config != "" && a.IPVS != "":
		return ocf.WrongEverywhere(errors.New("parameters config and ipvs exclude each other; keep one of them"))
	case a.Config != "":
		if err := a.onlyConfig(); err != nil {
			return err
		}
		return a.file(ctx, c)
	}
	if err := a.given().Validate(); err != nil {
		return ocf.WrongEverywhere(err)
	}
	return nil
}

// foreign reports whether the agent refuses the character in the name of a node attribute.
// Pacemaker uses this name in ids of its XML.
func foreign(r rune) bool {
	return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.", r)
}

// onlyConfig returns an error if a check parameter is given together with config and differs from
// its default, because then it has no effect.
func (a *Agent) onlyConfig() error {
	defaults := map[string]string{}
	for _, p := range New(nil, nil, nil).params() {
		defaults[p.Name] = p.Value.String()
	}
	for _, p := range a.params() {
		if p.Name != "config" && p.Name != "attribute" && p.Value.String() != defaults[p.Name] {
			return ocf.WrongEverywhere(fmt.Errorf("parameter %s=%q has no meaning together with config; write it into %s", p.Name, p.Value, a.Config))
		}
	}
	return nil
}

func (a *Agent) file(ctx context.Context, c ocf.Call) error {
	file, err := load.File(ctx, &disk.Reader{}, a.Config, a.configDirs...)
	if errors.Is(err, fs.ErrNotExist) {
		return ocf.Lacking(fmt.Errorf("parameter config: %w; copy it to every node", err))
	}
	if err != nil {
		return fmt.Errorf("parameter config: %w", err)
	}
	if err := file.Unusable(); err != nil {
		return ocf.WrongHere(err)
	}
	for _, p := range file.Problems {
		if p.Severity == config.Refused {
			c.Log.Error(p)
			continue
		}
		c.Log.Debug(p)
	}
	return nil
}

package main

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"slices"

	"lvs-agents/internal/attribute"
	"lvs-agents/internal/config/load"
	"lvs-agents/internal/control"
	"lvs-agents/internal/disk"
	"lvs-agents/internal/doctor"
)

// examineIdle compares the version and the configuration files of this node with the daemons of
// other nodes. It examines only the health resources that do not run here, as examinePair examines
// the others.
func examineIdle(ctx context.Context, sys system, facts doctor.Facts) (findings []doctor.Finding, err error) {
	ids, err := control.IDs(sys.stateDir)
	errs := []error{err}
	reader := &disk.Reader{Helper: sys.helper}
	for _, c := range facts.Checks() {
		if slices.Contains(ids, c.Resource) { // On a busy host, each query of the cluster takes long.
			continue
		}
		setups, err := sys.attributes.All(ctx, attribute.Setup(c.Attribute))
		switch {
		case errors.Is(err, attribute.ErrNoCluster):
			return nil, nil
		case err != nil:
			errs = append(errs, err)
			continue
		case setups[facts.Node] != "":
			continue
		}
		path, digest, err := fileOf(ctx, reader, c)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			findings = append(findings, c.Lacks())
		case err != nil:
			errs = append(errs, err)
		default:
			all := map[string]string{facts.Node: sys.version + " " + digest}
			maps.Copy(all, setups)
			findings = append(findings, doctor.ExamineSetups(facts.Node, path, all)...)
		}
	}
	return findings, errors.Join(errs...)
}

// fileOf returns the path and a digest of the file of a health resource, as a daemon would publish
// the digest.
func fileOf(ctx context.Context, reader *disk.Reader, c doctor.Checks) (path, digest string, err error) {
	if c.File == "" {
		return "", "-", nil
	}
	path, text, err := load.Read(ctx, reader, c.File, load.Dirs()...)
	if isLate(err) {
		err = late{"the read of " + c.File, "examine its file system: findmnt --target " + c.File}
	}
	return path, load.Digest(text), err
}

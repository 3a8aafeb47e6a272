package main

import (
	"context"
	"errors"
	"io/fs"
	"strings"

	"lvs-agents/internal/config"
	"lvs-agents/internal/control"
	"lvs-agents/internal/doctor"
	"lvs-agents/internal/state/record"
)

// examineMarkedDown compares on_marked_down of the services with the sysctl that it needs.
func examineMarkedDown(ctx context.Context, sys system) ([]doctor.Finding, error) {
	// lvsctl status reports the daemons that do not reply.
	states, err := control.Summaries(ctx, sys.stateDir, queryLimit/2)
	if err != nil {
		return nil, err
	}
	store, err := record.In(sys.stateDir)
	if err != nil {
		return nil, err
	}
	var ending []doctor.Ending
	for _, state := range states {
		resource := ""
		if id, ok := strings.CutPrefix(state.Snapshot.Config, "resource "); ok {
			if r, err := store.Load(id); err == nil && r.File.Path == "" {
				resource, _, _ = strings.Cut(id, ":") // The instances of a clone can have numbers.
			}
		}
		for _, s := range state.Snapshot.Services {
			if config.MarkedDown(s.MarkedDown).Ends() {
				ending = append(ending, doctor.Ending{Service: s.ID, Value: s.MarkedDown, Resource: resource})
			}
		}
	}
	if len(ending) == 0 {
		return nil, nil
	}
	expire, err := sys.director.Get(ctx, doctor.ExpireNodest)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return doctor.ExamineMarkedDown(expire, ending), err
}

package metrics

import (
	"context"
	"errors"
	"io/fs"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/procfs"

	"lvs-agents/internal/control"
)

// Source reads the state that the metrics show.
type Source struct {
	// States reads the states of the daemons on this node with their real servers.
	States func(context.Context) ([]control.State, error)
	// Summaries reads the same states without the real servers.
	Summaries func(context.Context) ([]control.State, error)
	// Proc is a directory with the directory net of the proc file system, for example /proc.
	Proc string
}

// Handler serves the metrics over HTTP. With the parameter servers=1, the reply also has metrics of
// each real server.
func (s Source) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		gather := prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) {
			state, err := s.read(r.Context(), r.FormValue("servers") == "1")
			return Families(state), err
		})
		// If IPVS cannot be read, the metrics of the daemons are still true.
		promhttp.HandlerFor(gather, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError}).ServeHTTP(w, r)
	})
}

// read returns the state of this node. The error is why some of the state is missing.
func (s Source) read(ctx context.Context, servers bool) (State, error) {
	states := s.Summaries
	if servers {
		states = s.States
	}
	daemons, err := states(ctx)
	state := State{Daemons: daemons, Servers: servers}
	proc, failed := procfs.NewFS(s.Proc)
	if failed != nil {
		return state, errors.Join(err, failed)
	}
	switch counters, failed := proc.IPVSStats(); {
	case errors.Is(failed, fs.ErrNotExist):
		return state, err // the kernel does not have IPVS
	case failed != nil:
		return state, errors.Join(err, failed)
	default:
		state.Counters = &counters
	}
	if servers {
		state.Backends, failed = proc.IPVSBackendStatus()
	}
	return state, errors.Join(err, failed)
}
